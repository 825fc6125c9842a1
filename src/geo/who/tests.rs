//! What people type for a client, and what is made of it.

use serde_json::json;

use super::super::base::tests::SHIPPED;
use super::super::mmdb_writer::{Data, List, Map, Number, Text, Writer};
use super::*;

/// Countries, and nothing finer.
fn countries() -> Base {
    Base::from_mmdb(SHIPPED.to_vec(), None).unwrap()
}

/// Cities, parts of countries and AS numbers.
fn cities_too() -> Base {
    let place = |country, part, city, asn| {
        let name = |text| Map(vec![("names", Map(vec![("en", Text(text))]))]);
        let mut fields: Vec<(&'static str, Data)> = vec![("country", Map(vec![("iso_code", Text(country))]))];
        fields.push(("city", name(city)));
        fields.push(("subdivisions", List(vec![Map(vec![("iso_code", Text(part))])])));
        fields.push(("traits", Map(vec![("autonomous_system_number", Number(asn))])));
        Map(fields)
    };
    let writer = Writer::new(6, 24)
        .put("192.0.2.0/24", place("DE", "BE", "Berlin", 64500))
        .put("198.51.100.0/25", place("FR", "IDF", "Paris", 64501))
        .put("198.51.100.128/25", place("US", "TX", "Paris", 64502))
        .put("203.0.113.0/24", place("US", "CA", "Los Angeles", 64502));
    Base::from_mmdb(writer.finish(), None).unwrap()
}

fn model() -> Model {
    let empty = Model::empty();
    let office = json!({ "name": "Seoul office", "include": ["cidr:203.0.113.64/26"] });
    let document = json!({ "regions": { "office": office } });
    empty.check(&empty.edits_to(&document).unwrap()).unwrap().model
}

fn read(text: &str, base: &Base) -> Result<Clients, Unclear> {
    Clients::read(text, base, &model(), "2001:db8:1:2::3".parse().ok())
}

fn who(text: &str, base: &Base) -> String {
    match read(text, base) {
        Err(unclear) => format!("{}; {}", unclear.problem, unclear.remedy),
        Ok(Clients { who, coarse, .. }) => {
            let coarse = coarse.map_or(String::new(), |coarse| format!(" {coarse:?}"));
            match who {
                Who::Network(network) => network.to_string(),
                Who::Asn(asn) => format!("AS{asn}"),
                Who::Country(country) => format!("{country}{coarse}"),
                Who::Subdivision(part) => format!("{part}{coarse}"),
                Who::City(city, country) => format!("{city} {}{coarse}", country.unwrap()),
                Who::Region(region) => format!("region {region}"),
            }
        }
    }
}

#[test]
fn what_is_clear_is_understood() {
    let base = countries();
    for (text, meant) in [
        ("203.0.113.77", "203.0.113.0/24"),
        (" 203.0.113.77 ", "203.0.113.0/24"),
        ("203.0.113.77/32", "203.0.113.77/32"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::ffff:203.0.113.77/128", "203.0.113.77/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("cidr:203.0.113.0/24", "203.0.113.0/24"),
        ("2001:db8::1", "2001:db8::/56"),
        ("[2001:db8::1]", "2001:db8::/56"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("me", "2001:db8:1::/56"),
        ("ME", "2001:db8:1::/56"),
        ("DE", "DE"),
        ("de", "DE"),
        ("DEU", "DE"),
        ("Germany", "DE"),
        ("germany", "DE"),
        ("country:NA", "NA"),
        ("NA", "NA"),
        ("독일", "DE"),
        ("대한민국", "KR"),
        ("한국", "KR"),
        ("South Korea", "KR"),
        ("south-korea", "KR"),
        ("UK", "GB"),
        ("USA", "US"),
        ("the Netherlands", "NL"),
        ("Holland", "NL"),
        ("Cote d'Ivoire", "CI"),
        ("Turkiye", "TR"),
        ("Turkey", "TR"),
        ("eu", "region eu"),
        ("EU", "region eu"),
        ("European Union", "region eu"),
        ("Asia", "region asia"),
        ("continent:AF", "region africa"),
        ("region:office", "region office"),
        ("Seoul office", "region office"),
        ("Berlin", "DE NoCity"),
        ("서울", "KR NoCity"),
        ("sao paulo", "BR NoCity"),
        ("New York", "US NoCity"),
        ("US-CA", "US NoSubdivision"),
        ("California", "US NoSubdivision"),
    ] {
        assert_eq!(who(text, &base), meant, "{text:?}");
    }
}

#[test]
fn a_database_with_cities_answers_for_themselves() {
    let base = cities_too();
    for (text, meant) in [
        ("Berlin", "Berlin DE"),
        ("berlin, de", "Berlin DE"),
        ("Paris", "Paris FR"),
        ("Paris, US", "Paris US"),
        ("Paris, United States", "Paris US"),
        ("로스앤젤레스", "Los Angeles US"),
        ("US-CA", "US-CA"),
        ("California", "US-CA"),
        ("New York", "US NoCity"),
        ("AS64500", "AS64500"),
        ("as 64500", "AS64500"),
        ("asn:64502", "AS64502"),
        ("ASN64502", "AS64502"),
    ] {
        assert_eq!(who(text, &base), meant, "{text:?}");
    }
}

#[test]
fn what_is_wrong_says_what_would_be_right() {
    let base = countries();
    for (text, said) in [
        ("", "is empty; give an address"),
        ("192.0.2.300", "192.0.2.300 is not an address; the last part can be at most 255"),
        ("192.500.2.3", "the second part can be at most 255"),
        ("192.0.2", "it has 3 parts of four; did you mean 192.0.2.0/24?"),
        ("10.", "it has 1 parts of four; did you mean 10.0.0.0/8?"),
        ("192.0.2.1.5", "an IPv4 address has four parts"),
        ("192.0.2.010", "010 begins with a zero; did you mean 192.0.2.10?"),
        ("192.0.2.1:53", "it has a port; did you mean 192.0.2.1?"),
        ("192.0.2.0/33", "a prefix length of IPv4 is 0 to 32; did you mean 192.0.2.0/24?"),
        ("192.0.2.0/", "did you mean 192.0.2.0/24?"),
        ("203.0.113.77/24", "203.0.113.77/24 has bits outside the prefix; did you mean 203.0.113.0/24?"),
        ("2001:db8::1/32", "2001:db8::1/32 has bits outside the prefix; did you mean 2001:db8::/32?"),
        ("::ffff:203.0.113.77/120", "did you mean 203.0.113.0/24?"),
        ("2001:db8::/129", "\"129\" is no prefix length; did you mean 2001:db8::/56?"),
        ("2001:db8", "is no client that is known here"),
        ("2001:db8::1::2", "is not an IPv6 address; IPv6 has eight groups"),
        ("x/24", "is not a network; use one such as 203.0.113.0/24"),
        ("Germny", "did you mean Germany?"),
        ("Frnace", "did you mean France?"),
        ("Tokio", "did you mean Tokyo?"),
        ("대한민구", "did you mean 대한민국?"),
        ("www.example.com", "looks like a name, not like a client"),
        ("3320", "did you mean AS3320?"),
        ("AS99999999999", "AS numbers end at 4294967295"),
        ("AS64500", "the geo database has no AS numbers; load one that has"),
        ("Atlantis", "is no client that is known here; "),
        ("ZZ", "is no client that is known here"),
        ("region:nowhere", "is no client that is known here"),
    ] {
        let told = who(text, &base);
        assert!(told.contains(said), "{text:?}: {told}");
    }
    assert!(who("AS64999", &cities_too()).contains("has no network of AS64999"));
    assert!(who("Japan", &cities_too()).contains("has no network in Japan"));
    assert!(who(&"a".repeat(500), &base).contains("too long"));
    let alone = Clients::read("me", &base, &model(), None).unwrap_err();
    assert_eq!(alone.problem, "your own address is not known here");
    assert_eq!(read("Germny", &base).unwrap_err().instead, ["Germany"]);
}

#[test]
fn the_networks_of_a_place_are_in_it_and_their_shares_add_up() {
    for (base, text) in [(countries(), "DE"), (countries(), "asia"), (cities_too(), "US"), (cities_too(), "AS64502")] {
        let clients = read(text, &base).unwrap();
        let sum: f64 = clients.networks.iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{text}");
        assert!(clients.networks.len() <= MOST_PLACES + MOST_OPERATOR_NETWORKS);
    }
    let parts = read("US", &cities_too()).unwrap().networks;
    let office = "203.0.113.64/26".parse().unwrap();
    assert!(parts.iter().any(|(network, _)| *network == office), "a network that a region names is asked too");
    let office = read("office", &countries()).unwrap().networks;
    assert_eq!(office, [("203.0.113.64/26".parse().unwrap(), 1.0)]);
}
