#!/bin/bash
# Ends with 0 when Weir's /healthz answers 200. Bash speaks TCP itself, so the image needs no client.
# WEIR_METRICS names the address where the configuration does not leave it at the usual one.
set -eu
address=${WEIR_METRICS:-127.0.0.1:9464}
exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
printf 'GET /healthz HTTP/1.0\r\nHost: %s\r\n\r\n' "$address" >&3
read -r -t 2 _ status _ <&3
[ "$status" = 200 ]
