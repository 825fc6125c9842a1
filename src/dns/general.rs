//! The general path: what the hot codec does not speak, parsed and written by hickory. It may allocate; it never
//! waits, so that the thread that received a packet can answer it. Ordinary questions are answered here as well,
//! from the same engine, which is how tests prove that both paths agree.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use hickory_proto::op::{Edns, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RData, Record, RecordType, TSigResponseContext};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncoder, Restrict};
use hickory_server::net::NetError;
use hickory_server::net::runtime::{Time, TokioTime};
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder};
use parking_lot::Mutex;

use super::query::{Code, Query};
use super::reply::{self, Fit, MAX_UDP, ReplyEdns, is_needed_glue};
use super::respond::{Arrival, Engine, Outcome, Said, Settings, Transport, limit, prepare, said};
use crate::answer::{Answer, Credit, Entropy, Owner, Set};

/// Extended DNS error 18, Prohibited (RFC 8914 section 4.19).
const PROHIBITED: u16 = 18;

/// Answers one packet into the emptied `out`.
pub fn respond<E: Engine>(
    packet: &[u8],
    arrival: &Arrival,
    settings: &Arc<Settings>,
    engine: &Arc<E>,
    entropy: &mut Entropy,
    out: &mut Vec<u8>,
) -> Outcome {
    out.clear();
    let Some(query) = Query::read(packet) else { return Outcome::Silence };
    let protocol = match arrival.transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp { .. } => Protocol::Tcp,
    };
    let client = SocketAddr::new(arrival.client, 0);
    let Ok(request) = Request::from_bytes(packet.to_vec(), client, protocol) else {
        return Outcome::Reply(refuse(&query, Code::FORMERR, arrival, settings, out));
    };
    let handler = Handler {
        engine: engine.clone(),
        settings: settings.clone(),
        arrival: *arrival,
        seed: entropy.next(),
        credit: OnceLock::new(),
    };
    let slot = Slot { limit: limit(&query, arrival.transport), bytes: Arc::default() };
    let polled = {
        let mut answering = pin!(handler.handle_request::<_, TokioTime>(&request, slot.clone()));
        answering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    match polled {
        Poll::Ready(info) if !slot.bytes.lock().is_empty() => {
            out.append(&mut slot.bytes.lock());
            let fit = if info.truncation { Fit::Truncated } else { Fit::Whole };
            let code = Code(info.response_code.into());
            Outcome::Reply(said(&query, code, fit, handler.credit.get().copied()))
        }
        _ => Outcome::Reply(refuse(&query, Code::SERVFAIL, arrival, settings, out)),
    }
}

fn refuse(query: &Query, code: Code, arrival: &Arrival, settings: &Settings, out: &mut Vec<u8>) -> Said {
    let edns = query.edns.as_ref().map(|edns| prepare(edns, arrival, settings));
    reply::refuse(query, code, edns.as_ref(), out);
    said(query, code, Fit::Whole, None)
}

/// Handles one request.
struct Handler<E> {
    engine: Arc<E>,
    settings: Arc<Settings>,
    arrival: Arrival,
    seed: u64,
    /// Whom the answer credits.
    credit: OnceLock<Credit>,
}

#[async_trait]
impl<E: Engine> RequestHandler for Handler<E> {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut reply: R) -> ResponseInfo {
        let Some(query) = Query::read(request.as_slice()) else { return nothing_sent(request) };
        let sent = if let Some(signature) = &request.signature {
            // No key is known here, and an answer under an unknown key is unsigned (RFC 8945 section 5.2.1).
            let now_s = self.arrival.now_ms / 1000;
            let context = TSigResponseContext::unknown_key(request.metadata.id, now_s, signature.name.clone());
            self.refuse(
                request,
                &query,
                Refusal { code: ResponseCode::NotAuth, error: None, tsig: Some(context) },
                reply,
            )
            .await
        } else if request.metadata.op_code != OpCode::Query {
            self.refuse(request, &query, Refusal { code: ResponseCode::NotImp, error: None, tsig: None }, reply).await
        } else if matches!(RecordType::from(query.rtype.0), RecordType::AXFR | RecordType::IXFR) {
            let refusal = Refusal { code: ResponseCode::Refused, error: Some(PROHIBITED), tsig: None };
            self.refuse(request, &query, refusal, reply).await
        } else {
            self.answer(request, &query, &mut reply).await
        };
        sent.unwrap_or_else(|_| nothing_sent(request))
    }
}

/// A reply without records.
struct Refusal {
    code: ResponseCode,
    error: Option<u16>,
    tsig: Option<TSigResponseContext>,
}

impl<E: Engine> Handler<E> {
    async fn refuse<R: ResponseHandler>(
        &self,
        request: &Request,
        query: &Query<'_>,
        refusal: Refusal,
        mut reply: R,
    ) -> Result<ResponseInfo, NetError> {
        let edns = query.edns.as_ref().map(|edns| {
            let mut ours = prepare(edns, &self.arrival, &self.settings);
            ours.extended_error = refusal.error;
            as_hickory(&ours)
        });
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            builder.edns(edns);
        }
        let mut response = builder.error_msg(&request.metadata, refusal.code);
        if let Some(context) = refusal.tsig {
            response.set_signature(context.sign(&[])?);
        }
        reply.send_response(response).await
    }

    async fn answer<R: ResponseHandler>(
        &self,
        request: &Request,
        query: &Query<'_>,
        reply: &mut R,
    ) -> Result<ResponseInfo, NetError> {
        let client = query.as_client(self.arrival.client);
        let mut entropy = Entropy::new(self.seed);
        let answer = self.engine.answer(&query.as_question(), &client, self.arrival.now_ms, &mut entropy);
        if let Some(credit) = answer.credit {
            self.credit.get_or_init(|| credit);
        }
        let edns = query.edns.as_ref().map(|edns| {
            let mut ours = prepare(edns, &self.arrival, &self.settings);
            ours.subnet = edns.subnet.map(|subnet| (subnet, answer.scope));
            ours.extended_error = answer.extended_error;
            as_hickory(&ours)
        });
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = ResponseCode::from(0, answer.rcode as u8);
        metadata.authoritative = answer.authoritative;
        let asked = request.queries.queries().first().map(|query| query.original().name().clone()).unwrap_or_default();
        let records = Records::of(&answer, &asked, query.name());
        let mut last = nothing_sent(request);
        // hickory cuts a message wherever it is full; whole sets are left out instead, extras first.
        for part in [records.all(), records.without_extras(), records.answer_only(), Some(Parts::default())] {
            let Some(part) = part else { continue };
            let mut metadata = metadata;
            metadata.truncation = part.answer.is_empty() && part.authority.is_empty() && !records.is_empty();
            let mut builder = MessageResponseBuilder::from_message_request(request);
            if let Some(edns) = &edns {
                builder.edns(edns);
            }
            let response = builder.build(metadata, part.answer, part.authority, [], part.additional);
            last = reply.send_response(response).await?;
            if !last.truncation {
                break;
            }
        }
        Ok(last)
    }
}

/// The records of an answer, section by section.
#[derive(Default)]
struct Records {
    answer: Vec<Record>,
    authority: Vec<Record>,
    glue: Vec<Record>,
    extras: Vec<Record>,
}

/// What one attempt to send says.
#[derive(Default)]
struct Parts<'r> {
    answer: &'r [Record],
    authority: &'r [Record],
    additional: Vec<&'r Record>,
}

impl Records {
    fn of(answer: &Answer, asked: &Name, question: &[u8]) -> Self {
        let all = |section: &[Set]| section.iter().flat_map(|set| records(set, asked, question)).collect();
        let (glue, extras): (Vec<Set>, Vec<Set>) =
            answer.additional.iter().cloned().partition(|set| is_needed_glue(set, answer));
        Records {
            answer: all(&answer.answer),
            authority: all(&answer.authority),
            glue: all(&glue),
            extras: all(&extras),
        }
    }

    fn is_empty(&self) -> bool {
        self.answer.is_empty() && self.authority.is_empty() && self.glue.is_empty()
    }

    fn all(&self) -> Option<Parts<'_>> {
        let additional = self.glue.iter().chain(&self.extras).collect();
        Some(Parts { answer: &self.answer, authority: &self.authority, additional })
    }

    fn without_extras(&self) -> Option<Parts<'_>> {
        let additional = self.glue.iter().collect();
        Some(Parts { answer: &self.answer, authority: &self.authority, additional })
    }

    /// Beside an answer, the authority section is an extra as well.
    fn answer_only(&self) -> Option<Parts<'_>> {
        (!self.answer.is_empty()).then(|| Parts { answer: &self.answer, ..Parts::default() })
    }
}

fn records(set: &Set, asked: &Name, question: &[u8]) -> Vec<Record> {
    let owner = match set.owner {
        Owner::Question => Some(asked.clone()),
        Owner::Name(wire) => Name::read(&mut BinDecoder::new(wire)).ok(),
    };
    let Some(owner) = owner else { return Vec::new() };
    let data = set.data.iter().map(|data| [set.kept(question), data].concat());
    data.map(|data| Record::from_rdata(owner.clone(), set.ttl, record_data(set.rtype.0, &data))).collect()
}

/// Data that hickory does not know or rejects goes out as it is (RFC 3597).
fn record_data(rtype: u16, data: &[u8]) -> RData {
    let rtype = RecordType::from(rtype);
    let known = u16::try_from(data.len())
        .ok()
        .and_then(|length| RData::read(&mut BinDecoder::new(data), rtype, Restrict::new(length)).ok());
    known.unwrap_or_else(|| RData::Unknown { code: rtype, rdata: NULL::with(data.to_vec()) })
}

fn as_hickory(ours: &ReplyEdns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_UDP as u16).set_version(0).set_dnssec_ok(ours.dnssec_ok);
    ours.each_option(|code, data| edns.options_mut().insert(EdnsOption::Unknown(code, data.to_vec())));
    edns
}

/// What hickory wants to hear of a request that got no reply; `respond` then refuses it.
fn nothing_sent(request: &Request) -> ResponseInfo {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    metadata.response_code = ResponseCode::ServFail;
    hickory_proto::op::Header { metadata, counts: Default::default() }.into()
}

/// Takes the reply's bytes; a later reply replaces an earlier one.
#[derive(Clone)]
struct Slot {
    limit: usize,
    bytes: Arc<Mutex<Vec<u8>>>,
}

#[async_trait]
impl ResponseHandler for Slot {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut bytes = self.bytes.lock();
        bytes.clear();
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(self.limit as u16);
        let written = response.destructive_emit(&mut encoder);
        if written.is_err() {
            bytes.clear();
        }
        Ok(written?)
    }
}
