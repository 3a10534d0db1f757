//! Writing lines of a report.

/// Writing into a `String` cannot fail; this says so once. Wants `std::fmt::Write` where it is used.
macro_rules! put {
    ($text:expr, $($format:tt)*) => {
        let _ = writeln!($text, $($format)*);
    };
}

pub(crate) use put;
