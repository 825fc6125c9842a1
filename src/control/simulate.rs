//! What somebody would get, asked in words: the texts of a question are read, its world is made, and the
//! engine is asked. Page, API and command line all come here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use crate::answer::{ANY_RESOLVER, Explained, Question, Snapshot, simulate, suppose_down};
use crate::geo::{Clients, Unclear};
use crate::health::HealthTable;
use crate::model::{FieldError, Id, Name, Pool, RecordType};

use super::{Author, Control, Refusal, unix_ms};

/// Which world is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum At {
    #[default]
    Live,
    /// With the changes that the asker has not published yet.
    Draft,
    /// As a revision configured it, in the health of now.
    Version(u64),
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" | "live" => Ok(At::Live),
            "draft" => Ok(At::Draft),
            number => number
                .trim_start_matches(['v', 'V'])
                .parse()
                .map(At::Version)
                .map_err(|_| format!("{text:?} is no version; use live, draft, or the number of a version")),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Live => f.write_str("live"),
            At::Draft => f.write_str("draft"),
            At::Version(number) => write!(f, "{number}"),
        }
    }
}

/// A question as it was typed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ask {
    pub name: String,
    /// A where empty.
    pub rtype: String,
    /// Whom it is asked for: see `geo::Clients`. Where empty, the resolver alone is placed.
    pub client: String,
    /// The resolver's address; one that no database places where empty.
    pub via: String,
    pub at: String,
    /// Pools that are assumed to be down.
    pub down: Vec<String>,
}

/// The answer with the world that it was asked of.
pub struct Simulation {
    pub at: At,
    pub name: Name,
    pub rtype: RecordType,
    pub clients: Option<Clients>,
    pub resolver: IpAddr,
    pub down: Vec<Id<Pool>>,
    pub world: World,
    /// The largest group first; never empty.
    pub groups: Vec<Explained>,
}

/// A configuration in some health.
#[derive(Clone)]
pub struct World {
    pub snapshot: Arc<Snapshot>,
    pub health: Arc<HealthTable>,
}

impl Simulation {
    /// The same question in another world.
    pub fn again(&self, world: &World) -> Vec<Explained> {
        run(world, &self.name, self.rtype, self.clients.as_ref(), self.resolver)
    }
}

fn run(world: &World, name: &Name, rtype: RecordType, clients: Option<&Clients>, resolver: IpAddr) -> Vec<Explained> {
    let question = Question { name: name.as_wire(), rtype };
    let networks = clients.map_or(&[][..], |clients| &clients.networks);
    let work = || simulate(&world.snapshot, &question, networks, resolver, unix_ms(), rand::random());
    tokio::task::block_in_place(work)
}

impl Control {
    /// Answers as DNS would, and says why; every text that is wrong is told at once.
    pub async fn simulate(&self, ask: &Ask, author: &Author) -> Result<Simulation, Refusal> {
        let mut errors = Vec::new();
        let mut keep = |at: &str, error: String| errors.push(FieldError::told(at, &error));
        let name = match ask.name.trim() {
            "" => Err("is missing; give the name to ask for".to_owned()),
            text => text.parse::<Name>(),
        };
        let name = name.map_err(|error| keep("name", error)).ok();
        let rtype = if ask.rtype.trim().is_empty() { "A" } else { ask.rtype.trim() };
        let rtype = rtype.to_uppercase().parse::<RecordType>().map_err(|error| keep("type", error)).ok();
        let resolver = match ask.via.trim() {
            "" => Ok(ANY_RESOLVER),
            text => text.parse::<IpAddr>(),
        };
        let wrong = |_| "is not an address; use one such as 198.51.100.53".to_owned();
        let resolver = resolver.map_err(|error| keep("via", wrong(error))).ok();
        let at = ask.at.parse::<At>().map_err(|error| keep("at", error)).ok();
        let world = match at {
            Some(at) => match self.world(at, &author.actor).await {
                Ok(world) => Some(world),
                Err(Refusal::NotFound(error)) => {
                    errors.push(FieldError::told("at", &error));
                    None
                }
                Err(refusal) => return Err(refusal),
            },
            None => None,
        };
        // A text about clients is read by what is live where the version itself is unclear.
        let live = self.snapshot();
        let known = world.as_ref().map_or(&live, |world| &world.snapshot);
        let clients = match ask.client.trim() {
            "" => None,
            text => match Clients::read(text, known.geo(), known.model(), author.address) {
                Ok(clients) => Some(clients),
                Err(Unclear { problem, remedy, .. }) => {
                    errors.push(FieldError::new("client", problem, remedy));
                    None
                }
            },
        };
        let mut down = Vec::new();
        for text in &ask.down {
            match text.trim().parse::<Id<Pool>>() {
                Ok(id) if known.model().pools.contains_key(&id) => down.push(id),
                _ => {
                    errors.push(FieldError::new("down", format!("there is no pool {text:?}"), "name a pool by its id"))
                }
            }
        }
        let (Some(name), Some(rtype), Some(resolver), Some(at), Some(world)) = (name, rtype, resolver, at, world)
        else {
            return Err(Refusal::Invalid(errors));
        };
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        let world = world.with_down(&down);
        let groups = run(&world, &name, rtype, clients.as_ref(), resolver);
        Ok(Simulation { at, name, rtype, clients, resolver, down, world, groups })
    }

    /// A world, in the health of now.
    pub async fn world(&self, at: At, author: &str) -> Result<World, Refusal> {
        let (live, health) = (self.snapshot(), self.health());
        let model = match at {
            At::Live => live.model().clone(),
            At::Draft => self.drafted(author).map_err(Refusal::Invalid)?,
            At::Version(number) => self.model_at(number).await?,
        };
        if Arc::ptr_eq(&model, live.model()) {
            return Ok(World { snapshot: live, health });
        }
        let compile = || Snapshot::compile(&model, live.geo(), &health, Some(&live));
        let snapshot = Arc::new(tokio::task::block_in_place(compile));
        Ok(World { snapshot, health })
    }
}

impl World {
    /// The same with pools that are assumed to be down.
    pub fn with_down(self, down: &[Id<Pool>]) -> World {
        if down.is_empty() {
            return self;
        }
        let health = suppose_down(&self.health, down);
        World { snapshot: Arc::new(self.snapshot.with_health(&health)), health: Arc::new(health) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_in_words_or_numbers() {
        for (text, at) in [
            ("", At::Live),
            ("live", At::Live),
            (" draft ", At::Draft),
            ("218", At::Version(218)),
            ("v218", At::Version(218)),
        ] {
            assert_eq!(text.parse::<At>(), Ok(at), "{text:?}");
        }
        for text in ["yesterday", "-1", "2.0"] {
            assert!(text.parse::<At>().unwrap_err().contains("; use live"), "{text:?}");
        }
    }
}
