//! LOC data (RFC 1876): a place on the globe with its size and precision.

use std::fmt::Write;

use super::super::lexer::Word;

/// The equator and the prime meridian, in the wire's thousandths of an arc second.
const ZERO_ANGLE: i64 = 1 << 31;
/// Altitudes are centimetres above 100 km below the reference spheroid.
const ZERO_ALTITUDE: i64 = 10_000_000;
/// The longest size or precision: 9 × 10^9 centimetres.
const MAX_SIZE: i64 = 9_000_000_000;
/// Size 1 m, horizontal precision 10 km, vertical precision 10 m, in centimetres (section 3).
const DEFAULT_SIZES: [i64; 3] = [100, 1_000_000, 1_000];

pub(super) fn parse(words: &[Word], wire: &mut Vec<u8>) -> Result<(), String> {
    let mut words = words.iter().map(|word| word.raw);
    let latitude = angle(&mut words, ["N", "S"], 90, "latitude")?;
    let longitude = angle(&mut words, ["E", "W"], 180, "longitude")?;
    let altitude = metres(words.next().ok_or("the altitude is missing")?)? + ZERO_ALTITUDE;
    let altitude = u32::try_from(altitude).map_err(|_| "the altitude is out of range; use -100000m to 42849672m")?;
    let mut sizes = DEFAULT_SIZES;
    for (size, word) in sizes.iter_mut().zip(&mut words) {
        *size = metres(word)?;
        if !(0..=MAX_SIZE).contains(size) {
            return Err(format!("{word:?} is out of range; use 0m to 90000000m"));
        }
    }
    if let Some(word) = words.next() {
        return Err(format!("{word:?} is one field too many"));
    }
    wire.push(0);
    wire.extend(sizes.map(mantissa_and_exponent));
    for number in [latitude, longitude, altitude] {
        wire.extend(number.to_be_bytes());
    }
    Ok(())
}

/// Degrees, then minutes and seconds if they are given, then the letter of a hemisphere.
fn angle<'w>(
    words: &mut impl Iterator<Item = &'w str>,
    letters: [&str; 2],
    limit: i64,
    name: &str,
) -> Result<u32, String> {
    let wrong = |word: &str| format!("{word:?} is not part of a {name}");
    let mut thousandths = 0;
    // Degrees and minutes are whole; seconds have up to three decimals.
    let units = [(3_600_000, limit * 1000), (60_000, 59_000), (1000, 59_999)];
    for position in 0..=units.len() {
        let word = words.next().ok_or_else(|| format!("the {name} is incomplete"))?;
        let positive = word.eq_ignore_ascii_case(letters[0]);
        if position > 0 && (positive || word.eq_ignore_ascii_case(letters[1])) {
            if thousandths > limit * 3_600_000 {
                return Err(format!("the {name} is above {limit} degrees"));
            }
            let signed = if positive { thousandths } else { -thousandths };
            return Ok(u32::try_from(ZERO_ANGLE + signed).expect("180 degrees are 648,000,000 thousandths"));
        }
        let Some((unit, most)) = units.get(position) else { return Err(wrong(word)) };
        let number = decimal(word, 3).ok_or_else(|| wrong(word))?;
        if !(0..=*most).contains(&number) || (position < 2 && number % 1000 != 0) {
            return Err(wrong(word));
        }
        thousandths += number / 1000 * unit + if position == 2 { number % 1000 } else { 0 };
    }
    Err(format!("the {name} lacks its {} or {}", letters[0], letters[1]))
}

/// Metres with up to two decimals, as centimetres.
fn metres(word: &str) -> Result<i64, String> {
    let digits = word.strip_suffix(['m', 'M']).unwrap_or(word);
    decimal(digits, 2).ok_or_else(|| format!("{word:?} is not a length in metres"))
}

/// A decimal number times 10^`places`; `None` when it has more places or is not one.
fn decimal(word: &str, places: usize) -> Option<i64> {
    let (sign, digits) = word.strip_prefix('-').map_or((1, word), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 10 || fraction.len() > places || !digits(whole) || !digits(fraction) {
        return None;
    }
    Some(sign * format!("{whole}{fraction:0<places$}").parse::<i64>().ok()?)
}

/// Centimetres as one digit times a power of ten, rounded down.
fn mantissa_and_exponent(mut centimetres: i64) -> u8 {
    let mut exponent = 0;
    while centimetres > 9 {
        centimetres /= 10;
        exponent += 1;
    }
    (centimetres as u8) << 4 | exponent
}

pub(super) fn present(wire: &[u8; 16], text: &mut String) -> Option<()> {
    let [version, sizes @ ..] = *wire.first_chunk::<4>()?;
    let word = |at: usize| wire.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes).map(i64::from);
    let (latitude, longitude) = (word(4)? - ZERO_ANGLE, word(8)? - ZERO_ANGLE);
    let possible = latitude.abs() <= 90 * 3_600_000 && longitude.abs() <= 180 * 3_600_000;
    if version != 0 || !possible || sizes.iter().any(|size| size >> 4 > 9 || size & 15 > 9) {
        return None;
    }
    for (angle, letters) in [(latitude, ['N', 'S']), (longitude, ['E', 'W'])] {
        let letter = letters[usize::from(angle < 0)];
        let (seconds, thousandths) = (angle.abs() / 1000, angle.abs() % 1000);
        let (degrees, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(text, "{degrees} {minutes} {}.{thousandths:03} {letter} ", seconds % 60).ok()?;
    }
    let altitude = word(12)? - ZERO_ALTITUDE;
    let sign = if altitude < 0 { "-" } else { "" };
    write!(text, "{sign}{}.{:02}m", altitude.abs() / 100, altitude.abs() % 100).ok()?;
    for size in sizes {
        let centimetres = i64::from(size >> 4) * 10_i64.pow(u32::from(size & 15));
        write!(text, " {}.{:02}m", centimetres / 100, centimetres % 100).ok()?;
    }
    Some(())
}
