//! Which regions a client is in, by its place and the operator networks around its address.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use crate::model::{Continent, Country, Id, MAX_NESTING, Place, Region, Subdivision, Table, Token};

/// The regions that a split names, ready to be asked.
#[derive(Default)]
pub struct Membership {
    regions: Vec<Tokens>,
    index: HashMap<Id<Region>, usize>,
    network_index: HashMap<IpNet, u32>,
    /// Every network of those regions once, in any order.
    pub networks: Vec<IpNet>,
}

#[derive(Default)]
struct Tokens {
    include: TokenSet,
    except: TokenSet,
}

#[derive(Default)]
struct TokenSet {
    continents: HashSet<Continent>,
    countries: HashSet<Country>,
    subdivisions: HashSet<Subdivision>,
    asns: HashSet<u32>,
    /// Indices into `Membership::networks`.
    networks: HashSet<u32>,
    /// Indices into `Membership::regions`.
    regions: Vec<usize>,
    unknown: bool,
}

/// A client as regions see it.
pub struct Client<'a> {
    pub place: &'a Place,
    /// The operator networks that hold the address, as indices into `Membership::networks`.
    pub networks: &'a [u32],
}

impl Membership {
    /// The indices of regions, which are taken in with the regions that they name. One that is missing
    /// matches nobody.
    pub fn add_all(&mut self, table: &Table<Region>, ids: &[Id<Region>]) -> Vec<usize> {
        ids.iter().map(|id| self.add(table, id)).collect()
    }

    /// Numbers a region before its tokens are read, so that a cycle of regions ends.
    fn add(&mut self, table: &Table<Region>, id: &Id<Region>) -> usize {
        if let Some(at) = self.index.get(id) {
            return *at;
        }
        let at = self.regions.len();
        self.index.insert(id.clone(), at);
        self.regions.push(Tokens::default());
        if let Some(region) = table.get(id) {
            let include = self.read(table, &region.include);
            let except = self.read(table, &region.except);
            self.regions[at] = Tokens { include, except };
        }
        at
    }

    fn read(&mut self, table: &Table<Region>, tokens: &[Token]) -> TokenSet {
        let mut set = TokenSet::default();
        for token in tokens {
            match token {
                Token::Continent(continent) => drop(set.continents.insert(*continent)),
                Token::Country(country) => drop(set.countries.insert(*country)),
                Token::Subdivision(subdivision) => drop(set.subdivisions.insert(*subdivision)),
                Token::Asn(asn) => drop(set.asns.insert(*asn)),
                Token::Cidr(network) => {
                    let network = unmap(network);
                    let at = *self.network_index.entry(network).or_insert_with(|| {
                        self.networks.push(network);
                        self.networks.len() as u32 - 1
                    });
                    set.networks.insert(at);
                }
                Token::Region(id) => {
                    let at = self.add(table, id);
                    set.regions.push(at);
                }
                Token::Unknown => set.unknown = true,
            }
        }
        set
    }

    pub fn any_matches(&self, regions: &[usize], client: &Client) -> bool {
        regions.iter().any(|at| self.region_matches(*at, client, 0))
    }

    fn region_matches(&self, at: usize, client: &Client, depth: usize) -> bool {
        // The check of a model refuses deeper chains; a cycle ends here.
        if depth > MAX_NESTING {
            return false;
        }
        let Tokens { include, except } = &self.regions[at];
        self.set_matches(include, client, depth) && !self.set_matches(except, client, depth)
    }

    fn set_matches(&self, set: &TokenSet, client: &Client, depth: usize) -> bool {
        let Client { place, networks } = client;
        (set.unknown && place.is_unknown())
            || place.continent.is_some_and(|continent| set.continents.contains(&continent))
            || place.country.is_some_and(|country| set.countries.contains(&country))
            || place.subdivisions.iter().any(|subdivision| set.subdivisions.contains(subdivision))
            || place.asn.is_some_and(|asn| set.asns.contains(&asn))
            || networks.iter().any(|network| set.networks.contains(network))
            || set.regions.iter().any(|at| self.region_matches(*at, client, depth + 1))
    }
}

/// Clients are looked up by the IPv4 address of an IPv4-mapped one, so such networks are IPv4 networks.
fn unmap(network: &IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(v6) => v6.prefix_len().checked_sub(96).zip(v6.network().to_ipv4_mapped()),
        IpNet::V4(_) => None,
    };
    let v4 = mapped.and_then(|(length, address)| IpNet::new(address.into(), length).ok());
    v4.unwrap_or(*network).trunc()
}
