//! What operators do, in a real browser against the real binary. Chromium and its driver are Debian's.
//! No test looks at markup: they click and read what a person can.

#[allow(dead_code, reason = "shared with tests/e2e, which uses all of it")]
#[path = "../e2e/backend.rs"]
mod backend;
mod browser;
mod changes;
mod driver;
mod operating;
mod pages;
mod roles;
mod sending;
#[allow(dead_code, reason = "shared with tests/e2e, which uses all of it")]
#[path = "../e2e/server.rs"]
mod server;
mod sign_in;
mod tour;
mod wizard;
mod world;
