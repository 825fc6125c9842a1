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

/// Room for an answer over UDP. Without EDNS it has at most 512 bytes (RFC 1035 section 4.2.1), and
/// some servers overdo it. Over TCP the length of 16 bits is the limit.
const MAX_DATAGRAM: usize = 4096;

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
    let mut buffer = vec![0; MAX_DATAGRAM];
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::A;
    use tokio::net::TcpListener;

    use super::super::Verdict;
    use super::super::tests::{IMPATIENT, PATIENT, check_once, checker, down};
    use super::*;
    use crate::model::Check;

    /// What a server does with the n-th query: its answers, in order.
    type Script = fn(Message, usize) -> Vec<Message>;

    /// A server on UDP and TCP that follows the scripts.
    async fn serve(udp: Script, tcp: Script) -> SocketAddr {
        let (udp_socket, listener) = loop {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()).await {
                break (socket, listener);
            }
        };
        let address = udp_socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = vec![0; MAX_DATAGRAM];
            for n in 0.. {
                let (length, client) = udp_socket.recv_from(&mut buffer).await.unwrap();
                for answer in udp(Message::from_vec(&buffer[..length]).unwrap(), n) {
                    udp_socket.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            for answer in tcp(Message::from_vec(&query).unwrap(), 0) {
                let wire = answer.to_vec().unwrap();
                stream.write_u16(wire.len() as u16).await.unwrap();
                stream.write_all(&wire).await.unwrap();
            }
        });
        address
    }

    fn reply(query: Message) -> Message {
        let mut answer = query.into_response();
        let name = answer.queries[0].name().clone();
        answer.add_answer(Record::from_rdata(name, 60, RData::A(A::new(192, 0, 2, 1))));
        answer
    }

    fn with_code(query: Message, code: ResponseCode) -> Vec<Message> {
        let mut answer = query.into_response();
        answer.metadata.response_code = code;
        vec![answer]
    }

    fn nothing(_: Message, _: usize) -> Vec<Message> {
        Vec::new()
    }

    async fn ask(server: SocketAddr, expect: Option<&str>, timeout: f64) -> Verdict {
        let (qname, qtype) = ("www.example.".parse().unwrap(), "A".parse().unwrap());
        let check = Check::Dns(DnsCheck { port: server.port(), qname, qtype, expect: expect.map(Into::into) });
        check_once(&checker(), server.ip(), check, timeout).await.verdict
    }

    #[tokio::test]
    async fn any_record_will_do_unless_one_is_expected() {
        let server = serve(|query, _| vec![reply(query)], nothing).await;
        assert_eq!(ask(server, None, PATIENT).await, Verdict::Up);
        assert_eq!(ask(server, Some("192.0.2.1"), PATIENT).await, Verdict::Up);
        let other = ask(server, Some("192.0.2.2"), PATIENT).await;
        assert_eq!(other, down("the answer for www.example. A lacks '192.0.2.2'"));
    }

    #[tokio::test]
    async fn each_way_to_fail_has_its_words() {
        let table: [(Script, &str); 4] = [
            (|query, _| with_code(query, ResponseCode::NXDomain), "NXDOMAIN for www.example. A"),
            (|query, _| with_code(query, ResponseCode::ServFail), "SERVFAIL for www.example. A"),
            (|query, _| with_code(query, ResponseCode::Refused), "REFUSED for www.example. A"),
            (|query, _| with_code(query, ResponseCode::NoError), "no record for www.example. A"),
        ];
        for (script, reason) in table {
            assert_eq!(ask(serve(script, nothing).await, None, PATIENT).await, down(reason));
        }
        assert_eq!(ask(serve(nothing, nothing).await, None, IMPATIENT).await, down("no answer within 0.3 s"));
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(ask(closed, None, PATIENT).await, down("connection refused"));
    }

    #[tokio::test]
    async fn a_lost_query_is_sent_again() {
        let server = serve(|query, n| if n == 0 { Vec::new() } else { vec![reply(query)] }, nothing).await;
        assert_eq!(ask(server, None, 1.0).await, Verdict::Up);
    }

    #[tokio::test]
    async fn answers_to_other_queries_are_passed_over() {
        let server = serve(
            |query, _| {
                let mut other_id = with_code(query.clone(), ResponseCode::ServFail).remove(0);
                other_id.metadata.id ^= 1;
                let mut other_name = with_code(query.clone(), ResponseCode::ServFail).remove(0);
                other_name.queries = vec![Query::query(Name::root(), RecordType::A)];
                vec![query.clone(), other_id, other_name, reply(query)]
            },
            nothing,
        );
        assert_eq!(ask(server.await, None, PATIENT).await, Verdict::Up);
    }

    #[tokio::test]
    async fn a_truncated_answer_is_asked_for_over_tcp() {
        let truncated: Script = |query, _| {
            let mut answer = query.into_response();
            answer.metadata.truncation = true;
            vec![answer]
        };
        let server = serve(truncated, |query, _| vec![reply(query)]).await;
        assert_eq!(ask(server, Some("192.0.2.1"), PATIENT).await, Verdict::Up);
        let cut_off = serve(truncated, nothing).await;
        assert_eq!(ask(cut_off, None, PATIENT).await, down("connection closed"));
    }

    #[tokio::test]
    async fn garbage_never_counts_as_an_answer() {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let server = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = vec![0; MAX_DATAGRAM];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                for end in [0, 1, 11, length - 1] {
                    socket.send_to(&buffer[..end], client).await.unwrap();
                }
            }
        });
        assert_eq!(ask(server, None, IMPATIENT).await, down("no answer within 0.3 s"));
    }
}
