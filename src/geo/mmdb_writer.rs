//! Small MMDB files for tests, of any schema and record size.

use std::net::IpAddr;

use ipnet::IpNet;

pub enum Data {
    Text(&'static str),
    Short(u16),
    Number(u32),
    Long(u64),
    Double(f64),
    Map(Vec<(&'static str, Data)>),
    List(Vec<Data>),
}

pub use Data::{Double, List, Long, Map, Number, Short, Text};

/// `{"country": {"iso_code": code}}`.
pub fn country(code: &'static str) -> Data {
    Map(vec![("country", Map(vec![("iso_code", Text(code))]))])
}

#[derive(Clone, Copy)]
enum Child {
    Empty,
    Node(usize),
    Data(usize),
}

pub struct Writer {
    ip_version: u16,
    record_bits: u16,
    major_version: u16,
    nodes: Vec<[Child; 2]>,
    data: Vec<u8>,
}

impl Writer {
    pub fn new(ip_version: u16, record_bits: u16) -> Writer {
        let nodes = vec![[Child::Empty; 2]];
        Writer { ip_version, record_bits, major_version: 2, nodes, data: Vec::new() }
    }

    pub fn of_major_version(self, major_version: u16) -> Writer {
        Writer { major_version, ..self }
    }

    /// A later network lies over earlier ones around it.
    pub fn put(mut self, network: &str, data: Data) -> Writer {
        let offset = self.data.len();
        encode(&data, &mut self.data);
        self.set(network, Child::Data(offset));
        self
    }

    /// Lets a network share the sub-tree of the IPv4 addresses, as MaxMind's files do.
    pub fn alias(mut self, network: &str) -> Writer {
        let v4 = self.descend(0, 96);
        self.set(network, Child::Node(v4));
        self
    }

    fn set(&mut self, network: &str, child: Child) {
        let network: IpNet = network.parse().unwrap();
        let (bits, length) = match (network.addr(), self.ip_version) {
            (IpAddr::V4(v4), 4) => (u128::from(v4.to_bits()) << 96, network.prefix_len()),
            (IpAddr::V4(v4), _) => (u128::from(v4.to_bits()), network.prefix_len() + 96),
            (IpAddr::V6(v6), _) => (v6.to_bits(), network.prefix_len()),
        };
        let parent = self.descend(bits, length - 1);
        self.nodes[parent][(bits >> (128 - length) & 1) as usize] = child;
    }

    /// The node that `length` bits lead to; leaves on the way are divided.
    fn descend(&mut self, bits: u128, length: u8) -> usize {
        let mut node = 0;
        for depth in 0..length {
            let side = (bits >> (127 - depth) & 1) as usize;
            node = match self.nodes[node][side] {
                Child::Node(next) => next,
                leaf => {
                    self.nodes.push([leaf; 2]);
                    self.nodes[node][side] = Child::Node(self.nodes.len() - 1);
                    self.nodes.len() - 1
                }
            };
        }
        node
    }

    pub fn finish(self) -> Vec<u8> {
        let count = self.nodes.len();
        let record = |child: Child| match child {
            Child::Empty => count as u32,
            Child::Node(node) => node as u32,
            Child::Data(offset) => (count + 16 + offset) as u32,
        };
        let mut bytes = Vec::new();
        for [left, right] in self.nodes {
            let (left, right) = (record(left).to_be_bytes(), record(right).to_be_bytes());
            match self.record_bits {
                24 => bytes.extend([&left[1..], &right[1..]].concat()),
                28 => bytes.extend([&left[1..], &[left[0] << 4 | right[0]], &right[1..]].concat()),
                _ => bytes.extend([left, right].concat()),
            }
        }
        bytes.extend([0; 16]);
        bytes.extend(&self.data);
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        let metadata = Map(vec![
            ("binary_format_major_version", Short(self.major_version)),
            ("binary_format_minor_version", Short(0)),
            ("build_epoch", Long(1_700_000_000)),
            ("database_type", Text("Test")),
            ("description", Map(vec![("en", Text("A test"))])),
            ("ip_version", Short(self.ip_version)),
            ("languages", List(vec![Text("en")])),
            ("node_count", Number(count as u32)),
            ("record_size", Short(self.record_bits)),
        ]);
        encode(&metadata, &mut bytes);
        bytes
    }
}

/// The type numbers are those of the MaxMind DB specification.
fn encode(data: &Data, out: &mut Vec<u8>) {
    match data {
        Text(text) => {
            control(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Double(number) => {
            control(3, 8, out);
            out.extend(number.to_be_bytes());
        }
        Short(number) => {
            control(5, 2, out);
            out.extend(number.to_be_bytes());
        }
        Number(number) => {
            control(6, 4, out);
            out.extend(number.to_be_bytes());
        }
        Long(number) => {
            control(9, 8, out);
            out.extend(number.to_be_bytes());
        }
        Map(fields) => {
            control(7, fields.len(), out);
            for (key, value) in fields {
                encode(&Text(key), out);
                encode(value, out);
            }
        }
        List(items) => {
            control(11, items.len(), out);
            items.iter().for_each(|item| encode(item, out));
        }
    }
}

fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    assert!(size < 29 + 256, "the test writer has no longer sizes");
    let short = size.min(29) as u8;
    match kind {
        1..8 => out.push(kind << 5 | short),
        _ => out.extend([short, kind - 7]),
    }
    if size >= 29 {
        out.push((size - 29) as u8);
    }
}
