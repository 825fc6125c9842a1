//! End to end: the real binary on real sockets with a real store, asked with real tools.
//! Nothing waits by the clock, but for a kill at a chance moment: every wait is for something to become true, with a
//! deadline.

mod accounts;
mod api;
mod backend;
mod bad_input;
mod change_flow;
mod command_line;
mod demo;
mod differential;
mod failover;
mod geo_data;
mod kill;
mod live;
mod practices;
mod server;
mod tls;
