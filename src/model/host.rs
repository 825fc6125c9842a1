//! What a server's address and a host's name can be. DNS carries more than that, and zone files may hold all of it.

use std::net::IpAddr;

/// What an address is that no server can have. Private and link-local ones are some server's.
pub fn no_servers(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_broadcast() => Some("broadcast"),
        // RFC 1122 section 3.2.1.3: 0.0.0.0/8 means this host or this network.
        IpAddr::V4(ip) if ip.octets()[0] == 0 => Some("unspecified"),
        // RFC 1112 section 4: 240.0.0.0/4 was never given out.
        IpAddr::V4(ip) if ip.octets()[0] >= 240 => Some("reserved"),
        other if other.is_unspecified() => Some("unspecified"),
        other if other.is_multicast() => Some("multicast"),
        _ => None,
    }
}

/// Refuses what is no name of a host, as `problem; remedy` (RFC 1123 section 2.1). A wildcard and underscores pass, and
/// so do letters outside ASCII, which [`super::Name`] converts.
pub fn check_host_name(text: &str) -> Result<(), String> {
    // Zones of addresses have slashes in their names (RFC 2317).
    if text.trim_end_matches('.').ends_with(".arpa") {
        return Ok(());
    }
    if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(format!("{text} is an address; write a name, such as app.example.com"));
    }
    if let Some((what, name)) = more_than_a_name(text) {
        return Err(match check_host_name(name) {
            Ok(()) if !name.is_empty() => format!("{text} {what}; write only the name: {name}"),
            _ => format!("{text} {what}; write only a name, such as app.example.com"),
        });
    }
    if text.contains(char::is_whitespace) {
        return Err(format!("{text:?} has a space in it; write the name without, such as app.example.com"));
    }
    let labels = if text == "*" { "" } else { text.strip_prefix("*.").unwrap_or(text) };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || !c.is_ascii();
    match labels.chars().find(|c| !allowed(*c)) {
        None => {}
        Some('*') => return Err(format!("{text} has a * inside; a wildcard stands alone in front: *.example.com")),
        Some(odd) => return Err(format!("{text} has {odd} in it; host names have letters, digits and hyphens")),
    }
    match labels.split('.').find(|label| label.starts_with('-') || label.ends_with('-')) {
        None => Ok(()),
        Some(label) => Err(format!("{label} begins or ends with a hyphen; put a letter or a digit there")),
    }
}

/// What else somebody copied with a name, and the name in it.
fn more_than_a_name(text: &str) -> Option<(&'static str, &str)> {
    if let Some((_, rest)) = text.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let name = authority.rsplit('@').next().unwrap_or(authority);
        return Some(("is a URL", name.split(':').next().unwrap_or(name)));
    }
    if let Some((_, name)) = text.split_once('@') {
        return Some(("is a mail address", name));
    }
    if let Some((name, _)) = text.split_once('/') {
        return Some(("has a path", name));
    }
    text.split_once(':').map(|(name, _)| ("has a port", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_no_server_can_have_is_told_from_those_of_servers() {
        for (ip, kind) in [
            ("0.0.0.0", Some("unspecified")),
            ("0.1.2.3", Some("unspecified")),
            ("224.0.0.1", Some("multicast")),
            ("239.255.255.255", Some("multicast")),
            ("240.0.0.1", Some("reserved")),
            ("255.255.255.255", Some("broadcast")),
            ("::", Some("unspecified")),
            ("ff02::1", Some("multicast")),
            ("::ffff:224.0.0.1", Some("multicast")),
            ("1.0.0.1", None),
            ("10.0.0.5", None),
            ("127.0.0.1", None),
            ("169.254.1.1", None),
            ("223.255.255.255", None),
            ("2001:db8::1", None),
            ("fe80::1", None),
        ] {
            assert_eq!(no_servers(ip.parse().unwrap()), kind, "{ip}");
        }
    }

    #[test]
    fn what_is_more_than_a_host_name_is_told_with_the_name_in_it() {
        for (text, said) in [
            ("http://app.example.com/", "is a URL; write only the name: app.example.com"),
            ("https://me:pw@app.example.com:8443/a?b#c", "is a URL; write only the name: app.example.com"),
            ("http://192.0.2.1/", "is a URL; write only a name, such as app.example.com"),
            ("app.example.com:443", "has a port; write only the name: app.example.com"),
            ("www/path", "has a path; write only the name: www"),
            ("me@example.com", "is a mail address; write only the name: example.com"),
            ("ü@x", "is a mail address; write only the name: x"),
            ("192.0.2.1", "is an address; write a name, such as app.example.com"),
            ("192.0.2.1:80", "has a port; write only a name, such as app.example.com"),
            ("2001:db8::1", "is an address; write a name, such as app.example.com"),
            ("a!b", "has ! in it; host names have letters, digits and hyphens"),
            ("www.*.example.com", "has a * inside; a wildcard stands alone in front: *.example.com"),
        ] {
            assert_eq!(check_host_name(text), Err(format!("{text} {said}")));
        }
        let space = "\"a b\" has a space in it; write the name without, such as app.example.com";
        assert_eq!(check_host_name("a b"), Err(space.to_owned()));
        let hyphen = |label| Err(format!("{label} begins or ends with a hyphen; put a letter or a digit there"));
        assert_eq!(check_host_name("-1"), hyphen("-1"));
        assert_eq!(check_host_name("www.a-.example.com"), hyphen("a-"));
        for text in
            ["www", "*", "*.example.com", "app_1", "_dmarc.example.com.", "a--b.test", "bücher.example", "1.test"]
        {
            assert_eq!(check_host_name(text), Ok(()), "{text}");
        }
    }
}
