//! Noise on a network's action, so that a trainer learns what other actions would have brought.
//!
//! The policy that acts is a Gaussian around the network's integer output, cut off at three standard deviations:
//! `action = output + sigma z`, `|z| <= 3`. Such a `z` is drawn by its inverse distribution function, a table with straight
//! lines between 1 024 steps of equal probability for `|z|`, from 27 random bits. A sum of uniforms would need no table, but
//! three times the bits, and a loop that rejects what lies beyond the cut, or a heap of draws on it.
//!
//! The density that the trainer is told is the Gaussian's. That of what is drawn differs from it, within a step that the
//! Gaussian's slope runs through: by at most 0.02 in its logarithm for all but the last 20 steps on either side, by 0.15
//! in the last one.
//!
//! The bits are a function of the flow's keyed hash and of the decision's number ([`Draw::nth`](crate::sampler::Draw::nth)):
//! same seed, same noise.

use weir_features::{FRAC_BITS, Noise};

/// Steps of the table, for `z >= 0`.
const STEPS_BITS: u32 = 10;
const STEPS: usize = 1 << STEPS_BITS;
/// Random bits that place a draw within its step.
const WITHIN_BITS: u32 = 16;
/// Where the Gaussian is cut off, in standard deviations.
const CUT: f64 = 3.0;
/// 1 / sqrt(2 pi): the density at 0.
const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;
/// ln(2 pi) / 2 in 1/65536.
const HALF_LN_2PI_Q16: i64 = 60_223;
/// ln 2 in 2^-20.
const LN_2_Q20: i64 = 726_817;

/// `|z|` in 1/65536 at each step's end: the k-th is not exceeded with probability k / 1024.
static QUANTILES_Q16: [u32; STEPS + 1] = quantiles_q16();

/// Floating point at compile time only, where it is the same for every machine.
const fn quantiles_q16() -> [u32; STEPS + 1] {
    let mut quantiles = [0; STEPS + 1];
    let (mut z, mut step) = (0.0, 1);
    while step <= STEPS {
        let wanted = mass(CUT) * step as f64 / STEPS as f64;
        // Newton from below: the mass is concave, so no iterate overshoots.
        let mut rounds = 0;
        while rounds < 6 {
            z += (wanted - mass(z)) / density(z);
            rounds += 1;
        }
        quantiles[step] = (z * (1 << FRAC_BITS) as f64 + 0.5) as u32;
        step += 1;
    }
    quantiles
}

/// The Gaussian's density, `exp(-z^2 / 2) / sqrt(2 pi)`, for z up to 3.
const fn density(z: f64) -> f64 {
    // A Taylor series for a 64th of the exponent, then six squarings: 1e-14 at worst.
    let x = -z * z / 128.0;
    let (mut term, mut sum, mut n) = (1.0, 1.0, 1.0);
    while n < 8.0 {
        term *= x / n;
        sum += term;
        n += 1.0;
    }
    let mut squarings = 0;
    while squarings < 6 {
        sum *= sum;
        squarings += 1;
    }
    DENSITY_AT_0 * sum
}

/// The Gaussian's mass between 0 and z: `density(z) (z + z^3 / 3 + z^5 / (3 x 5) + ...)` (Marsaglia, "Evaluating the Normal
/// Distribution", J. Stat. Software 11(4), 2004).
const fn mass(z: f64) -> f64 {
    let (mut term, mut sum, mut n) = (z, z, 3.0);
    while term > 1e-12 {
        term *= z * z / n;
        sum += term;
        n += 2.0;
    }
    density(z) * sum
}

/// Draws noise of one standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explorer {
    sigma_q16: u32,
    /// Logarithm of the density at z = 0, in 1/65536.
    log_peak_q16: i64,
}

impl Explorer {
    /// With a standard deviation of `sigma_q16` / 65536 of an action; `None` for 0, which is no noise.
    pub fn new(sigma_q16: u32) -> Option<Explorer> {
        let log_peak_q16 = -ln_q16(sigma_q16)? - HALF_LN_2PI_Q16;
        Some(Explorer { sigma_q16, log_peak_q16 })
    }

    /// The noise that `bits` stand for: of 64 random bits the upper 27 count.
    pub fn noise(&self, bits: u64) -> Noise {
        let step = (bits >> (63 - STEPS_BITS)) as usize & (STEPS - 1);
        let within = (bits >> (63 - STEPS_BITS - WITHIN_BITS)) & ((1 << WITHIN_BITS) - 1);
        let (from, to) = (u64::from(QUANTILES_Q16[step]), u64::from(QUANTILES_Q16[step + 1]));
        let z_q16 = from + (((to - from) * within) >> WITHIN_BITS);
        // z < 2^18 and sigma < 2^32: fits. The rounding never passes the cut, whose product is exact.
        let magnitude = (z_q16 * u64::from(self.sigma_q16) + (1 << (FRAC_BITS - 1))) >> FRAC_BITS;
        let magnitude = i32::try_from(magnitude).unwrap_or(i32::MAX);
        let noise_q16 = if bits >> 63 == 0 { magnitude } else { -magnitude };
        Noise { noise_q16, sigma_q16: self.sigma_q16, log_prob_q16: self.log_prob_q16(noise_q16) }
    }

    /// The logarithm of the density, per unit of action, of a noise in 1/65536, in 1/65536: by the noise as it was rounded,
    /// which is what the trainer sees.
    pub fn log_prob_q16(&self, noise_q16: i32) -> i32 {
        let z_q16 = (i64::from(noise_q16) << FRAC_BITS) / i64::from(self.sigma_q16);
        let log_prob = self.log_peak_q16 - ((z_q16 * z_q16) >> (FRAC_BITS + 1));
        log_prob.clamp(i32::MIN.into(), i32::MAX.into()) as i32
    }
}

/// The natural logarithm of `x_q16` / 65536, in 1/65536, to within one of them; `None` for 0.
fn ln_q16(x_q16: u32) -> Option<i64> {
    let whole = x_q16.checked_ilog2()?;
    // In [1, 2), with 31 bits of fraction. Squaring doubles the logarithm, whose bits come out one by one.
    let mut mantissa = (u64::from(x_q16) << 31) >> whole;
    let mut log2_q20 = (i64::from(whole) - i64::from(FRAC_BITS)) << 20;
    for bit in (0..20).rev() {
        mantissa = (mantissa * mantissa) >> 31;
        if mantissa >> 32 != 0 {
            mantissa >>= 1;
            log2_q20 += 1 << bit;
        }
    }
    Some((log2_q20 * LN_2_Q20 + (1 << 23)) >> 24)
}

#[cfg(test)]
mod tests;
