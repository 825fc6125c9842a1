//! The command line: one definition feeds the parser, the help, the man page and the completions.
//! Every command but `serve` is a client of the API, of a running server or, where none runs, of the
//! data directory itself; so the command line obeys the same checks as everybody.

mod audit;
mod backup;
mod client;
mod config_file;
mod explain;
mod token;
mod user;
mod zone;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::Config;
use crate::control::token::Role;

pub use client::{LOCAL_FILE, Local};

/// The part of the help and the man page that no single command or option can hold.
const AFTER_HELP: &str = "\
Files of the packaged service:
  /etc/northing/northing.toml   the boot file: sockets and paths
  /var/lib/northing             everything else: the data directory

Commands on the server's machine need no token, only the right to read the data directory:
run them as root or as the user northing. Everybody else needs a token:
  sudo northing token create NAME --role admin";

/// GeoDNS and global server load balancing: every client gets the right, living server.
#[derive(Debug, Parser)]
#[command(name = "northing", version, arg_required_else_help = true, max_term_width = 100, after_long_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer DNS queries, probe servers, and serve the API
    Serve(Serve),
    /// Check a boot file or a configuration document, and change nothing
    Check(Check),
    /// Make the configuration be what a TOML or JSON document says, all or nothing
    Apply(Apply),
    /// Write a zone as a zone file or as JSON, for audit
    Export(Export),
    /// Take a zone file (RFC 1035) in as a zone
    Import(Import),
    /// Say what a client gets for a name, with every step and its reason
    Explain(Explain),
    /// Write everything into one file
    Backup(Backup),
    /// Fill an empty data directory from a backup
    Restore(Restore),
    /// The audit log
    #[command(subcommand)]
    Audit(Audit),
    /// API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Users, who sign in with a browser
    #[command(subcommand)]
    User(UserCommand),
    /// Print a new one-time code for the setup page, while there is no user
    SetupCode {
        #[command(flatten)]
        target: Target,
    },
    /// Write completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages, one for each command
    Man {
        /// An existing directory
        dir: PathBuf,
    },
}

/// Which server, or which data directory.
#[derive(Debug, Args, Clone, Default)]
pub struct Target {
    /// The data directory; a server that runs on it is asked, else the directory itself is opened
    #[arg(long, env = "NORTHING_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A server elsewhere, such as http://192.0.2.1:8053
    #[arg(long, env = "NORTHING_SERVER", value_name = "URL", conflicts_with = "data_dir")]
    server: Option<String>,
    /// A token for that server; `northing token create` makes one there
    #[arg(long, env = "NORTHING_TOKEN", value_name = "TOKEN", hide_env_values = true, requires = "server")]
    token: Option<String>,
}

#[derive(Debug, Args)]
struct Serve {
    /// The boot file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything is kept [default: /var/lib/northing; with --demo ./northing-demo]
    #[arg(long, env = "NORTHING_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Answer DNS on this address, UDP and TCP; may be repeated [default: port 53 of all; with --demo 127.0.0.1:5300]
    #[arg(long, value_name = "ADDR")]
    dns: Vec<SocketAddr>,
    /// Serve the pages and the API on this address, plain [default: 127.0.0.1:8053]
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Serve the pages and the API over TLS on this address, as for browsers elsewhere
    #[arg(long, value_name = "ADDR")]
    https: Option<SocketAddr>,
    /// The certificate and its chain in PEM form [default: one of our own making]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// This machine's name in events and NSID answers, at most 63 characters
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    node: Option<String>,
    /// A country or city database in MMDB form [default: the bundled country database]
    #[arg(long, value_name = "FILE")]
    geo_location: Option<PathBuf>,
    /// An AS number database in MMDB form
    #[arg(long, value_name = "FILE")]
    geo_asn: Option<PathBuf>,
    /// What to log, such as info or info,northing::probe=debug
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Start with a zone that shows everything, and with backends to probe
    #[arg(long)]
    demo: bool,
}

#[derive(Debug, Args)]
struct Check {
    /// A boot file (northing.toml), or a document as `apply` takes it
    file: PathBuf,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Apply {
    /// The document, TOML or JSON; - is standard input
    file: PathBuf,
    /// Only say what would change, and who would get other answers
    #[arg(long)]
    plan: bool,
    /// Publish although kept tests fail; the history says so
    #[arg(long)]
    despite_tests: bool,
    /// Why, for the history
    #[arg(long, short, default_value = "", value_name = "TEXT")]
    message: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Export {
    /// The zone's name or id
    zone: String,
    /// A zone file, or JSON
    #[arg(long, default_value = "bind")]
    format: ExportFormat,
    /// Write here instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum ExportFormat {
    /// A zone file; steered names as comments with what everyone else gets now
    Bind,
    /// The zone and its record sets, as the API has them
    Json,
}

#[derive(Debug, Args)]
struct Import {
    /// The zone file; - is standard input
    file: PathBuf,
    /// The zone's name, where the file has no $ORIGIN
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
    /// Only say what would change
    #[arg(long)]
    plan: bool,
    /// Why, for the history
    #[arg(long, short, default_value = "", value_name = "TEXT")]
    message: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Explain {
    /// The name asked for
    name: String,
    /// The client's address or network
    client: String,
    /// The record type
    #[arg(long = "type", default_value = "A", value_name = "TYPE")]
    rtype: String,
    /// The resolver's address, for clients whose resolver sends no subnet
    #[arg(long, value_name = "ADDR")]
    resolver: Option<String>,
    /// Ask an earlier version of the configuration, by its number, with health as it is now
    #[arg(long, value_name = "VERSION")]
    at: Option<String>,
    /// Assume that this pool is down; give it once for each, or with commas
    #[arg(long, value_name = "POOL", value_delimiter = ',')]
    down: Vec<String>,
    /// Write JSON, for machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Backup {
    /// The file to write; an older backup there is replaced; - is standard output
    file: PathBuf,
    /// Take accounts and API tokens along, with hashes of passwords and second factors: keep the file as a password
    #[arg(long)]
    secrets: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Restore {
    /// The file that `backup` wrote
    file: PathBuf,
    /// An empty or missing directory
    #[arg(long, env = "NORTHING_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Recompute the hash chain; name the first broken entry
    Verify {
        #[command(flatten)]
        target: Target,
    },
    /// Show the newest entries
    List {
        /// How many, 1 to 1000
        #[arg(long, default_value_t = 50, value_name = "COUNT")]
        limit: usize,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and show its secret, once
    Create {
        /// Its name, such as ci-pipeline
        id: String,
        /// What it may do
        #[arg(long, default_value = "viewer")]
        role: Role,
        /// Days until it ends; 0 is never
        #[arg(long, default_value_t = 90, value_name = "DAYS")]
        expires_days: u32,
        /// A network it may be used from; may be repeated
        #[arg(long, value_name = "CIDR")]
        allow_from: Vec<String>,
        /// A kind of thing that it is for, such as records; may be repeated [default: all]
        #[arg(long, value_name = "KIND")]
        kind: Vec<String>,
        /// The id of a zone that it is for, with its records; may be repeated [default: all]
        #[arg(long, value_name = "ID")]
        zone: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// List tokens: id, role, and when each ends
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Delete a token; it opens nothing from then on
    Delete {
        /// Its name, as the list shows it
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// List users: login name, role, and when each signed in last
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Make a user, and a password that is shown once
    Create {
        /// The login name, such as ann or ann@example.com
        id: String,
        /// What they are called
        #[arg(long, default_value = "", value_name = "NAME")]
        name: String,
        /// What they may do
        #[arg(long, default_value = "viewer")]
        role: Role,
        /// Take the password from standard input instead of making one
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Make another password, shown once; their sessions end
    Password {
        /// The login name
        id: String,
        /// Take the password from standard input instead of making one
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Change what a user may do; their sessions end
    Role {
        /// The login name
        id: String,
        /// What they may do
        role: Role,
        #[command(flatten)]
        target: Target,
    },
    /// Let a user sign in no more; their sessions end
    Disable {
        /// The login name
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Let a user sign in again
    Enable {
        /// The login name
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Delete a user
    Delete {
        /// The login name
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Take the second factor off a user who has lost it
    ResetTotp {
        /// The login name
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

/// What a command that did not work says: each line for a person. The process ends with status 1, or
/// 2 where the request itself was wrong.
#[derive(Debug)]
pub struct Failure {
    pub lines: Vec<String>,
    pub status: u8,
}

impl Failure {
    pub fn new(line: impl Into<String>) -> Self {
        Failure { lines: vec![line.into()], status: 1 }
    }

    pub fn wrong(lines: Vec<String>) -> Self {
        Failure { lines, status: 2 }
    }
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    // An error only says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut out = std::io::stderr().lock();
            for line in &failure.lines {
                let _ = writeln!(out, "northing: {line}");
            }
            ExitCode::from(failure.status)
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => crate::app::serve(serve.config()?, crate::app::Start::new(serve.demo)),
        Command::Restore(Restore { file, data_dir }) => backup::restore(&file, &data_dir),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "northing", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Command::Man { dir } => man(&dir),
        other => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.map_err(|error| Failure::new(format!("threads could not be started: {error}")))?;
            runtime.block_on(ask(other))
        }
    }
}

/// The commands that ask a server or a data directory.
async fn ask(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(Check { file, target }) => config_file::check(&file, &target).await,
        Command::Apply(apply) => config_file::apply(&apply).await,
        Command::Export(export) => zone::export(&export).await,
        Command::Import(import) => zone::import(&import).await,
        Command::Explain(explain) => explain::explain(&explain).await,
        Command::Backup(Backup { file, secrets, target }) => backup::backup(&file, secrets, &target).await,
        Command::Audit(command) => audit::run(command).await,
        Command::Token(command) => token::run(command).await,
        Command::User(command) => user::run(command).await,
        Command::SetupCode { target } => user::setup_code(&target).await,
        Command::Serve(_) | Command::Restore(_) | Command::Completions { .. } | Command::Man { .. } => Ok(()),
    }
}

impl Serve {
    /// The boot file, and over it what the command line says.
    fn config(self: &Serve) -> Result<Config, Failure> {
        let mut config = match &self.config {
            Some(file) => config_file::read_boot(file)?,
            None => Config::default(),
        };
        if self.demo && self.config.is_none() {
            config.data_dir = "northing-demo".into();
            config.dns = vec![SocketAddr::from(([127, 0, 0, 1], 5300))];
        }
        if !self.dns.is_empty() {
            config.dns.clone_from(&self.dns);
        }
        let Serve { data_dir, http, https, tls_certificate, tls_key, node, geo_location, geo_asn, log, .. } = self;
        config.data_dir = data_dir.clone().unwrap_or(config.data_dir);
        config.http = http.unwrap_or(config.http);
        config.https = https.or(config.https);
        config.tls_certificate = tls_certificate.clone().or(config.tls_certificate);
        config.tls_key = tls_key.clone().or(config.tls_key);
        config.node = node.clone().unwrap_or(config.node);
        config.geo_location = geo_location.clone().or(config.geo_location);
        config.geo_asn = geo_asn.clone().or(config.geo_asn);
        config.log = log.clone().unwrap_or(config.log);
        Ok(config)
    }
}

fn node_name(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=63 if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err("use 1 to 63 characters such as dns-1".to_owned()),
    }
}

fn man(dir: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Cli::command(), dir).map_err(|error| {
        Failure::new(format!("{} cannot take the man pages: {error}; name a directory", dir.display()))
    })
}

/// Prints a result; a closed pipe is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}{end}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_command_line_wins_over_the_demo_defaults() {
        let cli = Cli::try_parse_from(["northing", "serve", "--demo", "--dns", "127.0.0.1:0"]).unwrap();
        let Command::Serve(serve) = cli.command else { panic!("not serve") };
        let config = serve.config().unwrap();
        assert_eq!(config.dns, ["127.0.0.1:0".parse().unwrap()]);
        assert_eq!(config.data_dir, PathBuf::from("northing-demo"));
    }
}
