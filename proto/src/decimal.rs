//! Exact decimals: a 128-bit count of 10^-18, the lake's `decimal(38,18)`.

use crate::wire;
use std::fmt;
use std::str::FromStr;

const SCALE: u32 = 18;
const ONE: i128 = 1_000_000_000_000_000_000;
/// Largest magnitude of decimal(38,18).
const MAX: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;

const POW10: [i128; 19] = {
    let mut table = [1i128; 19];
    let mut i = 1;
    while i < 19 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// An exact decimal number with 18 digits after the point and 20 before it. Never a float.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i128);

/// Why a number is not a [`Decimal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The text is not a decimal number.
    #[error("not a decimal number")]
    Syntax,
    /// More than 18 digits after the point that are not zero.
    #[error("more than 18 digits after the decimal point")]
    TooPrecise,
    /// The magnitude needs more than 38 digits.
    #[error("magnitude over 10^20")]
    OutOfRange,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// One.
    pub const ONE: Self = Self(ONE);

    /// A whole number.
    #[must_use]
    pub const fn from_int(value: i64) -> Self {
        Self(value as i128 * ONE)
    }

    /// `mantissa / 10^scale`.
    ///
    /// # Errors
    /// If it needs more than 18 fractional digits or more than 38 digits in all.
    pub fn new(mantissa: i128, scale: u32) -> Result<Self, DecimalError> {
        if scale > SCALE {
            return Err(DecimalError::TooPrecise);
        }
        let units = mantissa.checked_mul(POW10[(SCALE - scale) as usize]).ok_or(DecimalError::OutOfRange)?;
        Self::from_units(units)
    }

    /// A count of 10^-18, as the lake stores it.
    ///
    /// # Errors
    /// If it needs more than 38 digits.
    pub fn from_units(units: i128) -> Result<Self, DecimalError> {
        if (-MAX..=MAX).contains(&units) { Ok(Self(units)) } else { Err(DecimalError::OutOfRange) }
    }

    /// The count of 10^-18.
    #[must_use]
    pub const fn units(self) -> i128 {
        self.0
    }

    /// Mantissa and the smallest scale that hold the value exactly.
    #[must_use]
    pub fn mantissa_and_scale(self) -> (i128, u32) {
        if self.0 == 0 {
            return (0, 0);
        }
        let (mut mantissa, mut scale) = (self.0, SCALE);
        for step in [9u32, 4, 3, 2, 1, 1] {
            while scale >= step && mantissa % POW10[step as usize] == 0 {
                mantissa /= POW10[step as usize];
                scale -= step;
            }
        }
        (mantissa, scale)
    }

    /// True if greater than zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// True if less than zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// True if zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Sum; `None` if out of range.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::from_units(self.0.checked_add(other.0)?).ok()
    }

    /// Difference; `None` if out of range.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Self::from_units(self.0.checked_sub(other.0)?).ok()
    }

    /// Product, rounded half to even at 18 digits; `None` if out of range.
    #[must_use]
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let (a, b) = (self.0.unsigned_abs(), other.0.unsigned_abs());
        let magnitude = mul_units(a, b)?;
        let units = i128::try_from(magnitude).ok()?;
        Self::from_units(if (self.0 < 0) == (other.0 < 0) { units } else { -units }).ok()
    }

    /// Quotient, rounded half to even at 18 digits; `None` if the divisor is zero or the result out of range.
    #[must_use]
    pub fn checked_div(self, other: Self) -> Option<Self> {
        let (a, b) = (self.0.unsigned_abs(), other.0.unsigned_abs());
        let units = i128::try_from(div_units(a, b)?).ok()?;
        Self::from_units(if (self.0 < 0) == (other.0 < 0) { units } else { -units }).ok()
    }

    /// The largest multiple of `step` that is not above the magnitude, with the sign kept: rounded towards zero. A step of
    /// zero or less changes nothing.
    #[must_use]
    pub const fn truncate_to(self, step: Self) -> Self {
        if step.0 > 0 { Self(self.0 - self.0 % step.0) } else { self }
    }

    /// True if it is a whole number of `step`s. Everything is one of a step of zero or less.
    #[must_use]
    pub const fn is_multiple_of(self, step: Self) -> bool {
        step.0 <= 0 || self.0 % step.0 == 0
    }

    /// The magnitude.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// The nearest float, for indicators and charts only; never for money.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }

    /// Parses a JSON or CSV number without going through a float. Accepts an exponent, as some venues send one.
    ///
    /// # Errors
    /// See [`DecimalError`].
    pub fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (mut mantissa, mut fraction, mut any, mut point) = (0i128, 0i32, false, false);
        let mut zeros = 0u32; // pending zeros after the point, appended only when a digit follows
        let mut exponent = 0i32;
        let mut rest = digits;
        while let [byte, tail @ ..] = rest {
            match byte {
                b'0' if point => {
                    any = true;
                    zeros = zeros.saturating_add(1);
                }
                b'0'..=b'9' => {
                    any = true;
                    if zeros > 0 {
                        if zeros > 36 && mantissa != 0 {
                            return Err(DecimalError::TooPrecise);
                        }
                        for _ in 0..zeros {
                            mantissa = mantissa.checked_mul(10).ok_or(DecimalError::OutOfRange)?;
                        }
                        fraction = fraction.saturating_add_unsigned(zeros);
                        zeros = 0;
                    }
                    mantissa = mantissa
                        .checked_mul(10)
                        .and_then(|m| m.checked_add(i128::from(byte - b'0')))
                        .ok_or(DecimalError::OutOfRange)?;
                    if point {
                        fraction = fraction.saturating_add(1);
                    }
                }
                b'.' if !point => point = true,
                b'e' | b'E' if any => {
                    exponent = parse_exponent(tail)?;
                    break;
                }
                _ => return Err(DecimalError::Syntax),
            }
            rest = tail;
        }
        if !any {
            return Err(DecimalError::Syntax);
        }
        scale_by(if negative { -mantissa } else { mantissa }, exponent.saturating_sub(fraction))
    }
}

/// `mantissa * 10^power` as a decimal.
fn scale_by(mut mantissa: i128, mut power: i32) -> Result<Decimal, DecimalError> {
    if mantissa == 0 {
        return Ok(Decimal::ZERO);
    }
    while power < -18 {
        if mantissa % 10 != 0 {
            return Err(DecimalError::TooPrecise);
        }
        mantissa /= 10;
        power += 1;
    }
    if power <= 0 {
        return Decimal::new(mantissa, power.unsigned_abs());
    }
    let factor = POW10.get(power.unsigned_abs() as usize).ok_or(DecimalError::OutOfRange)?;
    Decimal::new(mantissa.checked_mul(*factor).ok_or(DecimalError::OutOfRange)?, 0)
}

fn parse_exponent(text: &[u8]) -> Result<i32, DecimalError> {
    let text = std::str::from_utf8(text).map_err(|_| DecimalError::Syntax)?;
    let value: i32 = text.parse().map_err(|_| DecimalError::Syntax)?;
    if (-64..=64).contains(&value) { Ok(value) } else { Err(DecimalError::OutOfRange) }
}

/// `a * b / 10^18`, half to even, on magnitudes of at most 38 digits.
fn mul_units(a: u128, b: u128) -> Option<u128> {
    const U: u128 = ONE.unsigned_abs();
    if let Some(product) = a.checked_mul(b) {
        return Some(round_half_even(product / U, product % U));
    }
    // a = ah*U + al, b = bh*U + bl: only al*bl/U can need rounding, and no other term exceeds 128 bits unless the
    // result is out of range.
    let (ah, al, bh, bl) = (a / U, a % U, b / U, b % U);
    let low = al * bl;
    let whole = ah.checked_mul(bh)?.checked_mul(U)?;
    let sum = whole.checked_add(ah.checked_mul(bl)?)?.checked_add(al.checked_mul(bh)?)?.checked_add(low / U)?;
    Some(round_half_even(sum, low % U))
}

/// `a * 10^18 / b`, half to even, on magnitudes of at most 38 digits.
fn div_units(a: u128, b: u128) -> Option<u128> {
    const U: u128 = ONE.unsigned_abs();
    if b == 0 {
        return None;
    }
    let mut quotient = (a / b).checked_mul(U)?;
    let mut rest = a % b;
    let mut fraction = 0u128;
    if let Some(scaled) = rest.checked_mul(U) {
        (fraction, rest) = (scaled / b, scaled % b);
    } else {
        // Digit by digit, each by two doublings and one addition, none of which exceeds 2b, which fits.
        for _ in 0..SCALE {
            let (mut digit, mut sum) = (0, 0);
            for bit in [1, 0, 1, 0] {
                (digit, sum) = (digit * 2, sum * 2);
                if sum >= b {
                    (digit, sum) = (digit + 1, sum - b);
                }
                if bit == 1 {
                    sum += rest;
                    if sum >= b {
                        (digit, sum) = (digit + 1, sum - b);
                    }
                }
            }
            (fraction, rest) = (fraction * 10 + digit, sum);
        }
    }
    quotient = quotient.checked_add(fraction)?;
    let up = rest > b - rest || (rest == b - rest && quotient % 2 == 1);
    quotient.checked_add(u128::from(up))
}

fn round_half_even(quotient: u128, remainder: u128) -> u128 {
    const HALF: u128 = ONE.unsigned_abs() / 2;
    let up = remainder > HALF || (remainder == HALF && quotient % 2 == 1);
    quotient + u128::from(up)
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for Decimal {
    /// Plain notation without superfluous zeros; a precision pads or rounds half to even (`{:.2}`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (magnitude, scale) = match f.precision().and_then(|p| u32::try_from(p).ok()) {
            Some(digits) if digits < SCALE => {
                let unit = POW10[(SCALE - digits) as usize].unsigned_abs();
                let (quotient, remainder) = (self.0.unsigned_abs() / unit, self.0.unsigned_abs() % unit);
                let up = remainder * 2 > unit || (remainder * 2 == unit && quotient % 2 == 1);
                (quotient + u128::from(up), digits)
            }
            Some(_) => (self.0.unsigned_abs(), SCALE),
            None => {
                let (mantissa, scale) = self.mantissa_and_scale();
                (mantissa.unsigned_abs(), scale)
            }
        };
        let sign = if self.0 < 0 && magnitude != 0 { "-" } else { "" };
        let unit = POW10[scale as usize].unsigned_abs();
        if scale == 0 {
            return write!(f, "{sign}{magnitude}");
        }
        write!(f, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = scale as usize)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Decimal> for wire::Decimal {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "splits the 128 bits into two words")]
    fn from(value: Decimal) -> Self {
        let (mantissa, scale) = value.mantissa_and_scale();
        Self { low: mantissa as u64, high: (mantissa >> 64) as i64, scale }
    }
}

impl TryFrom<&wire::Decimal> for Decimal {
    type Error = DecimalError;

    fn try_from(value: &wire::Decimal) -> Result<Self, Self::Error> {
        Self::new((i128::from(value.high) << 64) | i128::from(value.low), value.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn text_forms_of_venues_parse_exactly() {
        let cases = [
            ("0", "0"),
            ("0.00000000", "0"),
            ("61837.63000000", "61837.63"),
            ("-1.5", "-1.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e-8", "0.00000001"),
            ("1.2E+3", "1200"),
            ("100000000000000000000e-1", "10000000000000000000"),
            ("0.000000000000000001", "0.000000000000000001"),
            ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
        ];
        for (text, shown) in cases {
            assert_eq!(d(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn bad_numbers_are_refused_by_cause() {
        let cases = [
            ("", DecimalError::Syntax),
            ("-", DecimalError::Syntax),
            (".", DecimalError::Syntax),
            ("1.2.3", DecimalError::Syntax),
            ("NaN", DecimalError::Syntax),
            ("1e", DecimalError::Syntax),
            ("0x10", DecimalError::Syntax),
            ("0.0000000000000000001", DecimalError::TooPrecise),
            ("100000000000000000000", DecimalError::OutOfRange),
            ("1e99", DecimalError::OutOfRange),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Decimal>(), Err(error), "{text}");
        }
    }

    #[test]
    fn products_are_exact_and_round_half_even_at_18_digits() {
        assert_eq!(d("61837.63").checked_mul(d("0.00123")), Some(d("76.0602849")));
        assert_eq!(d("-2").checked_mul(d("3")), Some(d("-6")));
        assert_eq!(d("0.0000000005").checked_mul(d("0.000000001")), Some(Decimal::ZERO));
        assert_eq!(d("0.0000000015").checked_mul(d("0.000000001")), Some(d("0.000000000000000002")));
        assert_eq!(d("99999999999").checked_mul(d("99999999999")), None);
    }

    #[test]
    fn precision_pads_and_rounds() {
        assert_eq!(format!("{:.2}", d("1.005")), "1.00");
        assert_eq!(format!("{:.2}", d("1.015")), "1.02");
        assert_eq!(format!("{:.3}", d("7")), "7.000");
        assert_eq!(format!("{:.0}", d("-0.2")), "0");
    }

    #[test]
    fn quotients_are_rounded_half_to_even() {
        let cases = [
            ("1", "3", "0.333333333333333333"),
            ("2", "3", "0.666666666666666667"),
            ("-2", "3", "-0.666666666666666667"),
            ("60000", "7", "8571.428571428571428571"),
            ("0.000000000000000001", "2", "0"),
            ("0.000000000000000003", "2", "0.000000000000000002"),
            ("99999999999999999999", "99999999999999999999", "1"),
            ("12345678901234567890", "98765432109876543210", "0.124999998860937500"),
        ];
        for (a, b, quotient) in cases {
            assert_eq!(d(a).checked_div(d(b)), Some(d(quotient)), "{a} / {b}");
        }
        assert_eq!(d("1").checked_div(d("0")), None);
        assert_eq!(d("99999999999999999999").checked_div(d("0.1")), None);
    }

    #[test]
    fn steps_cut_towards_zero() {
        for (value, step, cut) in
            [("1.239", "0.01", "1.23"), ("-1.239", "0.01", "-1.23"), ("7", "0", "7"), ("7", "10", "0")]
        {
            assert_eq!(d(value).truncate_to(d(step)), d(cut));
            assert!(d(cut).is_multiple_of(d(step)));
        }
        assert!(!d("1.239").is_multiple_of(d("0.01")));
    }

    proptest! {
        #[test]
        fn text_round_trips(units in -MAX..=MAX) {
            let value = Decimal::from_units(units).unwrap();
            prop_assert_eq!(value.to_string().parse::<Decimal>(), Ok(value));
        }

        #[test]
        fn wire_round_trips(units in -MAX..=MAX) {
            let value = Decimal::from_units(units).unwrap();
            prop_assert_eq!(Decimal::try_from(&wire::Decimal::from(value)), Ok(value));
        }

        #[test]
        fn product_of_integers_is_the_integer_product(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000_000i64..1_000_000_000) {
            prop_assert_eq!(Decimal::from_int(a).checked_mul(Decimal::from_int(b)), Some(Decimal::from_int(a * b)));
        }

        #[test]
        fn a_quotient_of_large_numbers_is_that_of_small_ones(a in -MAX / ONE..=MAX / ONE, b in 1..=MAX / ONE) {
            let small = Decimal(a).checked_div(Decimal(b));
            prop_assert_eq!(Decimal(a * ONE).checked_div(Decimal(b * ONE)), small);
            // Half of the divisor is the most that rounding leaves.
            if let Some(quotient) = small.filter(|quotient| quotient.0.abs() < i128::MAX / b) {
                let rest = a.checked_mul(ONE).and_then(|scaled| scaled.checked_sub(quotient.0 * b));
                prop_assert!(rest.is_none_or(|rest| rest.abs() * 2 <= b));
            }
        }

        #[test]
        fn a_product_divided_by_a_factor_is_the_other(a in -1_000_000_000i64..1_000_000_000, b in 1..=MAX / 1_000_000_000) {
            let product = Decimal(b * i128::from(a));
            prop_assert_eq!(product.checked_div(Decimal(b)), Some(Decimal::from_int(a)));
        }

        #[test]
        fn arbitrary_text_never_panics(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = Decimal::parse(&text) {
                prop_assert!(value.units().abs() <= MAX);
            }
        }
    }
}
