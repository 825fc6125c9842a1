//! Northing: GeoDNS and global server load balancing. (The map comes here.)

pub mod answer;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod dns;
pub mod geo;
pub mod health;
pub mod metrics;
pub mod model;
pub mod probe;
pub mod store;
pub mod web;
