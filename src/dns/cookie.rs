//! Server cookies in the format that all servers of one secret agree on (RFC 9018). They cost no state: a client
//! that returns one has shown that it receives at its address.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// The option's code.
pub const CODE: u16 = 10;

/// A client cookie and our server cookie.
pub type Cookie = [u8; 24];

const VERSION: u8 = 1;
/// Cookies of the last hour are good, and five minutes of the future for clocks that differ (RFC 9018 section 4.3).
const OLDEST_S: u32 = 3600;
const NEWEST_S: u32 = 300;

/// Servers that answer on one address must share it, or clients take turns with bad cookies.
#[derive(Clone)]
pub struct Secret([u8; 16]);

impl Secret {
    pub fn new(bytes: [u8; 16]) -> Self {
        Secret(bytes)
    }

    /// The cookie to return to what the client sent, at least 8 bytes; `None` for less.
    pub fn bake(&self, sent: &[u8], client: IpAddr, now_ms: u64) -> Option<Cookie> {
        let ours: &[u8; 8] = sent.first_chunk()?;
        let time = (now_ms / 1000) as u32;
        let mut cookie = [0; 24];
        cookie[..8].copy_from_slice(ours);
        cookie[8] = VERSION;
        cookie[12..16].copy_from_slice(&time.to_be_bytes());
        let hash = self.hash(&cookie, client);
        cookie[16..].copy_from_slice(&hash);
        Some(cookie)
    }

    /// True when the client returned a fresh cookie of ours.
    pub fn recognises(&self, sent: &[u8], client: IpAddr, now_ms: u64) -> bool {
        let Ok(cookie) = Cookie::try_from(sent) else { return false };
        let time = u32::from_be_bytes([cookie[12], cookie[13], cookie[14], cookie[15]]);
        // Serial number arithmetic: the count of seconds wraps in 2106 (RFC 1982).
        let age = ((now_ms / 1000) as u32).wrapping_sub(time);
        cookie[8] == VERSION
            && (age <= OLDEST_S || age.wrapping_neg() <= NEWEST_S)
            && cookie[16..] == self.hash(&cookie, client)
    }

    fn hash(&self, cookie: &Cookie, client: IpAddr) -> [u8; 8] {
        let mut text = [0; 32];
        text[..16].copy_from_slice(&cookie[..16]);
        let length = match client {
            IpAddr::V4(address) => {
                text[16..20].copy_from_slice(&address.octets());
                20
            }
            IpAddr::V6(address) => {
                text[16..].copy_from_slice(&address.octets());
                32
            }
        };
        SipHasher24::new_with_key(&self.0).hash(&text[..length]).to_le_bytes()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    /// RFC 9018 appendix A.1 and A.4.
    #[test]
    fn cookies_are_those_of_the_standard() {
        let secret = Secret::new(bytes("e5e973e5a6b2a43f48e7dc849e37bfcf"));
        let cookie = secret.bake(&bytes::<8>("2464c4abcf10c957"), "198.51.100.100".parse().unwrap(), 1_559_731_985_000);
        assert_eq!(cookie, Some(bytes("2464c4abcf10c957010000005cf79f111f8130c3eee29480")));
        let secret = Secret::new(bytes("445536bcd2513298075a5d379663c962"));
        let address = "2001:db8:220:1:59de:d0f4:8769:82b8".parse().unwrap();
        let cookie = secret.bake(&bytes::<8>("22681ab97d52c298"), address, 1_559_741_961_000);
        assert_eq!(cookie, Some(bytes("22681ab97d52c298010000005cf7c609a6bb79d16625507a")));
    }

    #[test]
    fn only_a_fresh_cookie_of_the_same_client_is_recognised() {
        let secret = Secret::new([7; 16]);
        let client = "192.0.2.1".parse().unwrap();
        let now = 1_700_000_000_000;
        let cookie = secret.bake(&[1; 8], client, now).unwrap();
        assert!(secret.recognises(&cookie, client, now));
        assert!(secret.recognises(&cookie, client, now + 3_600_000));
        assert!(secret.recognises(&cookie, client, now - 300_000));
        assert!(!secret.recognises(&cookie, client, now + 3_601_000));
        assert!(!secret.recognises(&cookie, client, now - 301_000));
        assert!(!secret.recognises(&cookie, "192.0.2.2".parse().unwrap(), now));
        assert!(!Secret::new([8; 16]).recognises(&cookie, client, now));
        assert!(!secret.recognises(&cookie[..8], client, now));
    }
}
