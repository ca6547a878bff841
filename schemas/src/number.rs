//! Numbers as people read them.

/// Digits in threes from the right, with a sign between.
pub fn grouped(digits: &str, between: char) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(between);
        }
        out.push(digit);
    }
    out
}

/// `1,234,567`.
pub fn thousands(n: u64) -> String {
    grouped(&n.to_string(), ',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        let told = [0, 999, 1000, 1_234_567, u64::MAX].map(thousands);
        assert_eq!(told, ["0", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"]);
        assert_eq!(grouped("65536", '_'), "65_536");
    }
}
