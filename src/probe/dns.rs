//! The dns check: one query over UDP, repeated once, and over TCP when the answer was cut short.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder, NameEncoding};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::checker::{Failure, Trace, connect};
use crate::model::{DnsCheck, Rdata};

/// The largest message over UDP (its length field) and over TCP (RFC 1035 section 4.2.2).
const MAX_MESSAGE: usize = 65_535;

pub(super) async fn check(
    check: &DnsCheck,
    ip: IpAddr,
    timeout_seconds: f64,
    trace: &mut Trace,
) -> Result<(), Failure> {
    let server = SocketAddr::new(ip, check.port);
    let query = query(check)?;
    let wire = query.to_vec().map_err(|error| Failure::Unable(format!("the query cannot be written: {error}")))?;
    let patience = Duration::try_from_secs_f64(timeout_seconds / 2.0).unwrap_or(Duration::from_secs(1));
    let mut answer = over_udp(server, &query, &wire, patience).await?;
    if answer.metadata.truncation {
        answer = over_tcp(server, &query, &wire, trace).await?;
    }
    trace.latency.first_byte_ms = trace.elapsed_ms();
    judge(check, &answer)
}

fn query(check: &DnsCheck) -> Result<Message, Failure> {
    let name = Name::read(&mut BinDecoder::new(check.qname.as_wire()))
        .map_err(|error| Failure::Unable(format!("{} cannot be asked for: {error}", check.qname)))?;
    let mut message = Message::query();
    message.metadata.id = rand::random();
    // Authoritative servers ignore the bit, and resolvers need it.
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, RecordType::from(check.qtype.0)));
    Ok(message)
}

/// The first fitting answer; what does not fit, such as a late answer to an older query, is passed
/// over. The same query is sent again after half of the time, so an answer to either will do.
async fn over_udp(server: SocketAddr, query: &Message, wire: &[u8], patience: Duration) -> Result<Message, Failure> {
    let any = if server.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // A connected socket takes nothing from other addresses, and learns of a closed port.
    socket.connect(server).await?;
    let mut buffer = vec![0; MAX_MESSAGE];
    socket.send(wire).await?;
    if let Ok(answer) = timeout(patience, fitting_answer(&socket, query, &mut buffer)).await {
        return answer;
    }
    socket.send(wire).await?;
    fitting_answer(&socket, query, &mut buffer).await
}

async fn fitting_answer(socket: &UdpSocket, query: &Message, buffer: &mut [u8]) -> Result<Message, Failure> {
    loop {
        let length = socket.recv(buffer).await?;
        if let Ok(answer) = Message::from_vec(&buffer[..length])
            && fits(&answer, query)
        {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &Message, wire: &[u8], trace: &mut Trace) -> Result<Message, Failure> {
    let mut stream = connect(server, trace).await?;
    let length = u16::try_from(wire.len()).expect("a query of one name is at most 273 bytes long");
    stream.write_all(&[&length.to_be_bytes(), wire].concat()).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    let unreadable = |what: String| Failure::Down(format!("the answer over TCP {what}"));
    let answer = Message::from_vec(&buffer).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    if fits(&answer, query) { Ok(answer) } else { Err(unreadable("is to another query".into())) }
}

fn fits(answer: &Message, query: &Message) -> bool {
    answer.metadata.id == query.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries == query.queries
}

fn judge(check: &DnsCheck, answer: &Message) -> Result<(), Failure> {
    let DnsCheck { qname, qtype, .. } = check;
    let code = answer.metadata.response_code;
    if code != ResponseCode::NoError {
        return Err(Failure::Down(format!("{} for {qname} {qtype}", rcode_word(code))));
    }
    if answer.answers.is_empty() {
        return Err(Failure::Down(format!("no record for {qname} {qtype}")));
    }
    let Some(expect) = &check.expect else { return Ok(()) };
    let wanted = Rdata::parse(*qtype, expect, None)
        .map_err(|error| Failure::Unable(format!("the monitor expects what is no {qtype} record: {error}")))?;
    let rtype = RecordType::from(qtype.0);
    let mut records = answer.answers.iter().filter(|record| record.record_type() == rtype);
    if records.any(|record| wire_of(record).is_some_and(|wire| same(rtype, &wire, wanted.as_wire()))) {
        Ok(())
    } else {
        Err(Failure::Down(format!("the answer for {qname} {qtype} lacks '{expect}'")))
    }
}

/// Record data without compression.
fn wire_of(record: &Record) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    record.data.emit(&mut encoder).ok()?;
    Some(wire)
}

/// Where the data is one name, letter case does not count (RFC 4343).
fn same(rtype: RecordType, a: &[u8], b: &[u8]) -> bool {
    match rtype {
        RecordType::CNAME | RecordType::NS | RecordType::PTR => a.eq_ignore_ascii_case(b),
        _ => a == b,
    }
}

/// The word that operators know a response code by.
fn rcode_word(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        other => format!("response code {}", u16::from(other)),
    }
}
