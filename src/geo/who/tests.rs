//! What people type for a client, and what is made of it.

use super::super::mmdb_writer;
use super::*;
use crate::model::Model;
