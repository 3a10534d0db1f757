//! Unix time as dates, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time in seconds; 0 on a machine whose clock stands before 1970.
pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |span| span.as_secs_f64())
}

/// `YYYY-MM-DD` of a Unix time.
pub fn date(unix_seconds: f64) -> String {
    civil(unix_seconds.max(0.0) as u64 / 86_400)
}

/// `YYYY-MM-DD hh:mm:ss` of a Unix time.
pub fn date_time(unix_seconds: f64) -> String {
    let of_day = unix_seconds.max(0.0) as u64 % 86_400;
    format!("{} {:02}:{:02}:{:02}", date(unix_seconds), of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

/// Hinnant's `civil_from_days`: days since 1970 to the proleptic Gregorian calendar.
fn civil(days: u64) -> String {
    // Counted from 1 March of year 0, so that a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        assert_eq!(civil(0), "1970-01-01");
        assert_eq!(civil(11_016), "2000-02-29");
        assert_eq!(civil(20_780), "2026-11-23");
        assert_eq!(date_time(86_399.9), "1970-01-01 23:59:59");
        assert_eq!(date_time(-5.0), "1970-01-01 00:00:00");
    }
}
