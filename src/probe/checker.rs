//! One check from start to end: the address, the deadline, and the words for what went wrong.
//! What each kind asks of the server is in its own file.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::icmp::Echo;
use super::scheduler::report_of;
use super::tls::Trust;
use super::{Finding, Verdict, dns, http, tcp};
use crate::health::{Address, Latency, Report, Said};
use crate::model::{Check, Monitor, Name, no_servers};

/// Look-ups at once: each holds a thread of the runtime until the system's resolver gives up.
const MAX_LOOKUPS: usize = 64;

/// Runs checks, and holds what they share: trusted authorities and the sockets for echo requests.
pub struct Checker {
    trust: Trust,
    echo: Echo,
    lookups: Arc<Semaphore>,
}

/// Why a check did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The endpoint is to blame.
    Down(String),
    /// This machine or the configuration is to blame.
    Unable(String),
}

/// How far a check got, also when it is cut short.
#[derive(Debug)]
pub(super) struct Trace {
    started: Instant,
    /// What the check waits for, as in `no connection within 3 s`.
    pub waits_for: &'static str,
    pub latency: Latency,
    pub certificate_ends: Option<Timestamp>,
    pub said: Said,
    /// When the check ends at the latest.
    pub deadline: Instant,
}

impl Checker {
    /// Reads the authorities that this machine trusts.
    pub fn new() -> Self {
        Self::trusting(Trust::of_this_machine())
    }

    pub(super) fn trusting(trust: Trust) -> Self {
        Checker { trust, echo: Echo::default(), lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }

    /// One check, which ends within the monitor's time-out.
    pub async fn check(&self, address: &Address, monitor: &Monitor) -> Finding {
        let timeout = Duration::try_from_secs_f64(monitor.timeout).unwrap_or(Duration::from_secs(1));
        let mut trace = Trace::start(timeout);
        let deadline = trace.deadline;
        let result = match self.resolve(address, deadline).await {
            Ok(ip) => match timeout_at(deadline, self.ask(ip, address, monitor, &mut trace)).await {
                Ok(result) => result,
                Err(_) => Err(Failure::Down(format!("no {} within {} s", trace.waits_for, monitor.timeout))),
            },
            Err(failure) => Err(failure),
        };
        let verdict = match result {
            Ok(()) => {
                trace.latency.total_ms.get_or_insert(trace.started.elapsed().as_secs_f64() * 1000.0);
                Verdict::Up
            }
            Err(Failure::Down(reason)) => Verdict::Down(reason),
            Err(Failure::Unable(reason)) => Verdict::Unable(reason),
        };
        Finding { verdict, latency: trace.latency, certificate_ends: trace.certificate_ends, said: trace.said }
    }

    /// One check by itself, outside of any schedule.
    pub async fn report(&self, address: &Address, monitor: &Monitor) -> Report {
        report_of(&self.check(address, monitor).await, Instant::now())
    }

    async fn ask(&self, ip: IpAddr, address: &Address, monitor: &Monitor, trace: &mut Trace) -> Result<(), Failure> {
        match &monitor.check {
            Check::Http(check) => http::check(http::Scheme::Http, check, ip, address, &self.trust, trace).await,
            Check::Https(check) => http::check(http::Scheme::Https, check, ip, address, &self.trust, trace).await,
            Check::Tcp(check) => tcp::check(check, ip, trace).await,
            Check::Icmp(check) => self.echo.check(check, ip, monitor.timeout, trace).await,
            Check::Dns(check) => dns::check(check, ip, monitor.timeout, trace).await,
        }
    }

    /// The address to connect to; a name by the system's resolver.
    async fn resolve(&self, address: &Address, deadline: Instant) -> Result<IpAddr, Failure> {
        let ip = match address {
            Address::Ip(ip) => *ip,
            Address::Name(name) => timeout_at(deadline, self.look_up(name)).await.unwrap_or_else(|_| {
                Err(Failure::Unable("the resolver of this machine does not answer; see /etc/resolv.conf".into()))
            })?,
        };
        refuse_forbidden(ip)
    }

    async fn look_up(&self, name: &Name) -> Result<IpAddr, Failure> {
        let broken = |what: &str| Failure::Unable(format!("the resolver of this machine {what}; see /etc/resolv.conf"));
        let mut host = name.to_string();
        // The final dot keeps search domains out. The hosts file knows no dot, and names of one
        // label are found there if anywhere.
        if name.labels().count() == 1 {
            host.pop();
        }
        // The permit goes along: a thread that hangs counts until it ends, not until we give up.
        let permit = self.lookups.clone().acquire_owned().await.map_err(|_| broken("is closed"))?;
        let found = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            (host.as_str(), 0).to_socket_addrs().map(|mut addresses| addresses.next())
        });
        match found.await.map_err(|_| broken("broke down"))? {
            Ok(Some(address)) => Ok(address.ip()),
            Err(error) if is_passing(&error) => Err(broken("has no answer")),
            Ok(None) | Err(_) => Err(Failure::Down(format!("{name} has no address"))),
        }
    }
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

impl Trace {
    pub fn start(timeout: Duration) -> Self {
        let started = Instant::now();
        Trace {
            started,
            waits_for: "answer",
            latency: Latency::default(),
            certificate_ends: None,
            said: Said::default(),
            deadline: started + timeout,
        }
    }

    /// Milliseconds since the check started, for a milestone.
    pub fn elapsed_ms(&self) -> Option<f64> {
        Some(self.started.elapsed().as_secs_f64() * 1000.0)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::*;
        let reason = match error.kind() {
            ConnectionRefused => "connection refused".into(),
            ConnectionReset | ConnectionAborted | BrokenPipe => "connection reset".into(),
            UnexpectedEof => "connection closed".into(),
            HostUnreachable => "host unreachable".into(),
            TimedOut => "connection timed out".into(),
            _ => return Failure::of_rare(&error),
        };
        Failure::Down(reason)
    }
}

impl Failure {
    /// Errors that only this machine can cause: a router's "network unreachable" does not end a
    /// connection attempt on Linux, so what is seen here is a missing route of our own.
    fn of_rare(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => {
                Failure::Unable("this machine has no file handle left; raise LimitNOFILE".into())
            }
            Some(libc::ENOBUFS | libc::ENOMEM) => Failure::Unable("this machine has no memory for sockets left".into()),
            Some(libc::EADDRNOTAVAIL) => Failure::Unable(
                "this machine has no address of that family, or no free port; see net.ipv4.ip_local_port_range".into(),
            ),
            Some(libc::ENETUNREACH | libc::EAFNOSUPPORT) => Failure::Unable(
                "this machine has no route to such addresses; give it one, or remove the address from the endpoint"
                    .into(),
            ),
            Some(libc::EACCES | libc::EPERM) => {
                Failure::Unable("this machine's own firewall or sandbox forbids the check; allow it".into())
            }
            _ => Failure::Down(error.to_string()),
        }
    }
}

/// Connects, and notes when.
pub(super) async fn connect(address: SocketAddr, trace: &mut Trace) -> Result<tokio::net::TcpStream, Failure> {
    trace.waits_for = "connection";
    let stream = tokio::net::TcpStream::connect(address).await?;
    trace.latency.connect_ms = trace.elapsed_ms();
    trace.waits_for = "answer";
    Ok(stream)
}

/// No check may reach what only this machine can reach by accident: the metadata services of clouds
/// give away credentials, and multicast is no server.
fn refuse_forbidden(ip: IpAddr) -> Result<IpAddr, Failure> {
    let kind = match ip.to_canonical() {
        IpAddr::V4(v4) if v4.is_link_local() => "link-local",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "link-local",
        IpAddr::V6(v6) if v6.segments() == METADATA_SERVICE => "metadata service",
        other => match no_servers(other) {
            Some(kind) => kind,
            None => return Ok(ip),
        },
    };
    Err(Failure::Unable(format!("{ip} is a {kind} address, which is never checked; give the endpoint its own address")))
}

/// fd00:ec2::254, where Amazon's metadata service listens beside 169.254.169.254.
const METADATA_SERVICE: [u16; 8] = [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254];

/// Whether a look-up failed for want of a resolver (EAI_AGAIN), which the standard library tells by
/// its text only: glibc's and musl's.
fn is_passing(error: &io::Error) -> bool {
    let text = error.to_string();
    text.contains("Temporary failure") || text.contains("Try again")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PATIENT, check_once, checker, monitor};
    use super::*;
    use crate::model::TcpCheck;

    #[tokio::test]
    async fn addresses_that_only_this_machine_can_reach_are_never_checked() {
        let forbidden = [
            ("169.254.169.254", "link-local"),
            ("::ffff:169.254.169.254", "link-local"),
            ("fe80::1", "link-local"),
            ("fd00:ec2::254", "metadata service"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("ff02::1", "multicast"),
            ("0.0.0.0", "unspecified"),
            ("::", "unspecified"),
        ];
        for (ip, kind) in forbidden {
            let check = Check::Tcp(TcpCheck { port: 80, send: None, expect: None });
            let found = check_once(&checker(), ip.parse().unwrap(), check, PATIENT).await;
            let expected =
                format!("{ip} is a {kind} address, which is never checked; give the endpoint its own address");
            assert_eq!(found.verdict, Verdict::Unable(expected));
        }
        for ip in ["127.0.0.1", "10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert_eq!(refuse_forbidden(ip.parse().unwrap()), Ok(ip.parse().unwrap()));
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_for_each_check() {
        let v4 = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = v4.local_addr().unwrap().port();
        // Where localhost is ::1 first, the server is there too.
        let _v6 = tokio::net::TcpListener::bind(("::1", port)).await;
        let monitor = monitor("web", Check::Tcp(TcpCheck { port, send: None, expect: None }));
        let found = checker().check(&Address::Name("localhost.".parse().unwrap()), &monitor).await;
        assert_eq!(found.verdict, Verdict::Up);
    }

    #[test]
    fn errors_of_this_machine_are_no_failure_of_the_endpoint() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENETUNREACH, libc::EADDRNOTAVAIL, libc::EPERM] {
            let failure = Failure::from(io::Error::from_raw_os_error(code));
            assert!(matches!(failure, Failure::Unable(_)), "{code}: {failure:?}");
        }
        for (code, reason) in [
            (libc::ECONNREFUSED, "connection refused"),
            (libc::ECONNRESET, "connection reset"),
            (libc::EHOSTUNREACH, "host unreachable"),
            (libc::ETIMEDOUT, "connection timed out"),
        ] {
            assert_eq!(Failure::from(io::Error::from_raw_os_error(code)), Failure::Down(reason.into()));
        }
    }
}
