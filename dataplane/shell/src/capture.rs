//! The classic capture file format (libpcap's, `draft-ietf-opsawg-pcap`), read and written as a stream.
//!
//! Reads both byte orders with microsecond and nanosecond stamps; writes little-endian nanoseconds. Only Ethernet
//! (link type 1). A record that lies about its length is an error and not an allocation.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Magic number of a file whose stamps count microseconds.
const MAGIC_US: u32 = 0xA1B2_C3D4;
/// Magic number of a file whose stamps count nanoseconds.
const MAGIC_NS: u32 = 0xA1B2_3C4D;
const LINKTYPE_ETHERNET: u32 = 1;
/// What libpcap itself refuses to go beyond (MAXIMUM_SNAPLEN).
const RECORD_BYTES_MAX: u32 = 262_144;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Time of capture in nanoseconds since 1970.
    pub at_ns: u64,
    /// The bytes that were captured.
    pub bytes: Vec<u8>,
    /// Length of the whole frame on the wire; at least `bytes.len()`.
    pub wire_len: u32,
}

/// Why a capture could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct CaptureError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: CaptureProblem,
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
pub enum CaptureProblem {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not a classic capture file.
    #[error(
        "not a classic pcap file (magic {0:08x}); convert other formats with `editcap -F nsecpcap IN OUT`"
    )]
    Magic(u32),
    /// Not Ethernet.
    #[error("link type {0} is not Ethernet (1)")]
    LinkType(u32),
    /// The file ends inside a record.
    #[error("record {0} is cut short")]
    CutShort(u64),
    /// A record claims more bytes than any capture holds, or more than its frame had.
    #[error(
        "record {record} claims {claimed} captured bytes of a frame of {wire} (at most {RECORD_BYTES_MAX})"
    )]
    Length {
        /// Which record, from 1.
        record: u64,
        /// Captured bytes that it claims.
        claimed: u32,
        /// Frame length that it claims.
        wire: u32,
    },
    /// A record's fraction of a second is a second or more.
    #[error("record {0} has an impossible time stamp")]
    Stamp(u64),
}

/// Reads one record after another.
pub struct CaptureReader {
    file: PathBuf,
    from: BufReader<File>,
    big_endian: bool,
    ns_per_tick: u32,
    records: u64,
}

impl CaptureReader {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// The file cannot be read, or is not a classic Ethernet capture.
    pub fn open(file: &Path) -> Result<CaptureReader, CaptureError> {
        let fail = |problem| CaptureError { file: file.to_owned(), problem };
        let mut from = BufReader::new(File::open(file).map_err(|error| fail(error.into()))?);
        let mut header = [0; 24];
        from.read_exact(&mut header).map_err(|_| fail(CaptureProblem::CutShort(0)))?;
        let magic = word(&header, 0, false);
        let (big_endian, ns_per_tick) = match (magic, magic.swap_bytes()) {
            (MAGIC_US, _) => (false, 1_000),
            (MAGIC_NS, _) => (false, 1),
            (_, MAGIC_US) => (true, 1_000),
            (_, MAGIC_NS) => (true, 1),
            _ => return Err(fail(CaptureProblem::Magic(magic))),
        };
        // The upper bits may tell of an FCS; the type is the lower 16.
        let link = word(&header, 20, big_endian) & 0xFFFF;
        if link != LINKTYPE_ETHERNET {
            return Err(fail(CaptureProblem::LinkType(link)));
        }
        Ok(CaptureReader { file: file.to_owned(), from, big_endian, ns_per_tick, records: 0 })
    }

    /// The next record; `None` at the file's end.
    ///
    /// # Errors
    /// The file ends inside a record, or the record contradicts itself.
    pub fn read(&mut self) -> Result<Option<Record>, CaptureError> {
        self.read_record().map_err(|problem| CaptureError { file: self.file.clone(), problem })
    }

    fn read_record(&mut self) -> Result<Option<Record>, CaptureProblem> {
        if self.from.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.records += 1;
        let cut = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CaptureProblem::CutShort(self.records),
            _ => error.into(),
        };
        let mut header = [0; 16];
        self.from.read_exact(&mut header).map_err(cut)?;
        let [seconds, fraction, claimed, wire] = [0, 4, 8, 12].map(|at| word(&header, at, self.big_endian));
        if claimed > RECORD_BYTES_MAX || claimed > wire {
            return Err(CaptureProblem::Length { record: self.records, claimed, wire });
        }
        let fraction_ns = u64::from(fraction) * u64::from(self.ns_per_tick);
        if fraction_ns >= 1_000_000_000 {
            return Err(CaptureProblem::Stamp(self.records));
        }
        let mut bytes = vec![0; claimed as usize];
        self.from.read_exact(&mut bytes).map_err(cut)?;
        Ok(Some(Record { at_ns: u64::from(seconds) * 1_000_000_000 + fraction_ns, bytes, wire_len: wire }))
    }
}

fn word(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

/// Writes one record after another.
pub struct CaptureWriter {
    file: PathBuf,
    to: BufWriter<File>,
}

impl CaptureWriter {
    /// Makes or empties a file, and its folder where that is missing, and writes the header.
    ///
    /// # Errors
    /// The system refuses.
    pub fn create(file: &Path) -> Result<CaptureWriter, CaptureError> {
        let write = || -> io::Result<BufWriter<File>> {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut to = BufWriter::new(File::create(file)?);
            for field in [MAGIC_NS, 0x0004_0002, 0, 0, RECORD_BYTES_MAX, LINKTYPE_ETHERNET] {
                to.write_all(&field.to_le_bytes())?;
            }
            Ok(to)
        };
        match write() {
            Ok(to) => Ok(CaptureWriter { file: file.to_owned(), to }),
            Err(error) => Err(CaptureError { file: file.to_owned(), problem: error.into() }),
        }
    }

    /// Appends one record. Stamps beyond the format's 32 bits of seconds (year 2106) stay at its end.
    ///
    /// # Errors
    /// The system refuses, for want of room for instance.
    pub fn write(&mut self, at_ns: u64, bytes: &[u8], wire_len: u32) -> Result<(), CaptureError> {
        let seconds = u32::try_from(at_ns / 1_000_000_000).unwrap_or(u32::MAX);
        let header = [seconds, (at_ns % 1_000_000_000) as u32, bytes.len() as u32, wire_len];
        let mut write = || -> io::Result<()> {
            for field in header {
                self.to.write_all(&field.to_le_bytes())?;
            }
            self.to.write_all(bytes)
        };
        write().map_err(|error| CaptureError { file: self.file.clone(), problem: error.into() })
    }

    /// Writes out what is still buffered.
    ///
    /// # Errors
    /// The system refuses.
    pub fn finish(mut self) -> Result<(), CaptureError> {
        self.to.flush().map_err(|error| CaptureError { file: self.file.clone(), problem: error.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(magic: u32, big_endian: bool) -> Vec<u8> {
        let fields = [magic, if big_endian { 0x0002_0004 } else { 0x0004_0002 }, 0, 0, 65535, 1];
        fields
            .iter()
            .flat_map(|field| if big_endian { field.to_be_bytes() } else { field.to_le_bytes() })
            .collect()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Record>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pcap");
        std::fs::write(&file, bytes).unwrap();
        let all = || -> Result<Vec<Record>, CaptureError> {
            let mut reader = CaptureReader::open(&file)?;
            let mut records = Vec::new();
            while let Some(record) = reader.read()? {
                records.push(record);
            }
            Ok(records)
        };
        all().map_err(|error| error.problem.to_string())
    }

    #[test]
    fn all_four_magics_read_alike() {
        for (magic, fraction) in [(MAGIC_US, 5_u32), (MAGIC_NS, 5_000)] {
            for big_endian in [false, true] {
                let mut bytes = header(magic, big_endian);
                for field in [7_u32, fraction, 3, 60] {
                    bytes.extend(if big_endian { field.to_be_bytes() } else { field.to_le_bytes() });
                }
                bytes.extend([1, 2, 3]);
                let expected = Record { at_ns: 7_000_005_000, bytes: vec![1, 2, 3], wire_len: 60 };
                assert_eq!(read(&bytes), Ok(vec![expected]), "{magic:x} {big_endian}");
            }
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/folder/x.pcap");
        let mut writer = CaptureWriter::create(&file).unwrap();
        writer.write(1_700_000_000_123_456_789, &[9; 60], 1514).unwrap();
        writer.finish().unwrap();
        let records = read(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(
            records,
            [Record { at_ns: 1_700_000_000_123_456_789, bytes: vec![9; 60], wire_len: 1514 }]
        );
    }

    #[test]
    fn lies_are_refused_and_not_believed() {
        let record = |claimed: u32, wire: u32, fraction: u32| {
            let mut bytes = header(MAGIC_NS, false);
            bytes.extend([0, fraction, claimed, wire].iter().flat_map(|field: &u32| field.to_le_bytes()));
            bytes
        };
        assert!(read(&record(0xFFFF_FFFF, 0xFFFF_FFFF, 0)).unwrap_err().contains("claims 4294967295"));
        assert!(read(&record(61, 60, 0)).unwrap_err().contains("claims 61"));
        assert!(read(&record(60, 60, 0)).unwrap_err().contains("record 1 is cut short"));
        assert!(read(&record(0, 60, 1_000_000_000)).unwrap_err().contains("time stamp"));
        assert!(read(&header(0x0A0D_0D0A, false)).unwrap_err().contains("editcap"));
        assert!(read(&[0xD4, 0xC3]).unwrap_err().contains("cut short"));
    }
}
