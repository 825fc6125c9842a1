//! Forms: what a browser sends back. Every form carries its session's token, which is checked here, so that no
//! handler can forget it (the second of two guards against forged requests; `visit::guard` is the first).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::kept;
use super::session::Session;
use super::text::capital;
use super::visit::{Visit, here};
use crate::model::FieldError;
use crate::web::Problem;
use crate::web::extract::whole_body;

/// The hidden field of every form.
pub const TOKEN_FIELD: &str = "form_token";
/// Beside the reason of a change or a switch, where none was given.
pub const WHY: &str = "Say why: whoever reads the history later will ask.";
/// The longest reason, in characters.
pub const MAX_REASON: usize = 500;
/// Fields that one form may have.
const MAX_FIELDS: usize = 20_000;

/// The fields of a form, in order. A name may stand several times.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Form(pub Vec<(String, String)>);

impl Form {
    /// Without space around it; empty where it is absent.
    pub fn text(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    pub fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// As it was sent, with the space around it.
    pub fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Why a change is made, in one line; browsers send no longer one.
    pub fn reason(&self) -> String {
        let line: String = self.text("reason").chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
        line.trim().to_owned()
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// As a query or a body has them.
    pub fn parse(text: &[u8]) -> Result<Form, Problem> {
        let fields: Vec<(String, String)> = form_urlencoded::parse(text).into_owned().take(MAX_FIELDS + 1).collect();
        if fields.len() > MAX_FIELDS {
            let detail = format!("The form has more than {MAX_FIELDS} fields; send less at once.");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Ok(Form(fields))
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let session = request.extensions().get::<Arc<Session>>().cloned();
        let visit = request.extensions().get::<Visit>().cloned();
        let (headers, path) = (request.headers().clone(), here(&request));
        let body = whole_body(request, state).await.map_err(IntoResponse::into_response)?;
        let form = Form::parse(&body).map_err(IntoResponse::into_response)?;
        if let Some(session) = session.filter(|session| !matches(session, form.text(TOKEN_FIELD))) {
            return Err(kept::of_old_page(&headers, &session, path, form).unwrap_or_else(IntoResponse::into_response));
        }
        // What the page was drawn from goes on into a page that is drawn from this form.
        if let Some(visit) = visit {
            visit.sent.get_or_init(|| form.clone());
        }
        Ok(form)
    }
}

/// The form of somebody who has not signed in, so that no token can be asked for.
pub async fn of_stranger(request: Request) -> Result<Form, Problem> {
    Form::parse(&whole_body(request, &()).await?)
}

/// Fields of a form with files.
const MAX_PARTS: usize = 100;

/// A form that may hold files (`multipart/form-data`), with the same token.
pub struct Upload {
    pub form: Form,
    /// Field and content of each file that was chosen.
    pub files: Vec<(String, Bytes)>,
}

impl Upload {
    pub fn file(&self, name: &str) -> Option<&Bytes> {
        self.files.iter().find(|(known, _)| known == name).map(|(_, content)| content)
    }
}

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let session = request.extensions().get::<Arc<Session>>().cloned();
        let broken = |error: String| Problem::new(StatusCode::BAD_REQUEST, format!("{error}; send the form again."));
        let mut parts = Multipart::from_request(request, state).await.map_err(|error| broken(error.body_text()))?;
        let (mut fields, mut files) = (Vec::new(), Vec::new());
        while let Some(part) = parts.next_field().await.map_err(|error| broken(error.body_text()))? {
            if fields.len() + files.len() == MAX_PARTS {
                return Err(broken(format!("The form has more than {MAX_PARTS} fields")));
            }
            let (name, is_file) = (part.name().unwrap_or_default().to_owned(), part.file_name().is_some());
            let content = part.bytes().await.map_err(|error| broken(error.body_text()))?;
            match is_file {
                // A file field in which nothing was chosen is sent empty.
                true if content.is_empty() => {}
                true => files.push((name, content)),
                false => fields.push((name, String::from_utf8_lossy(&content).into_owned())),
            }
        }
        let form = Form(fields);
        match session {
            Some(session) if !matches(&session, form.text(TOKEN_FIELD)) => Err(stale()),
            _ => Ok(Upload { form, files }),
        }
    }
}

/// How long the next piece of a file may take, and all of them.
const PIECE_WITHIN: Duration = Duration::from_secs(60);
const FILE_WITHIN: Duration = Duration::from_secs(3600);
/// The longest field of a form whose file is streamed, in bytes.
const MAX_FIELD: usize = 4096;

/// Writes the one file of a form to `file` as it arrives, behind the token, and says how many bytes it has. More
/// than `most` are not written, but still read: a browser shows an answer only when it has sent everything.
pub async fn receive(request: Request, file: &mut tokio::fs::File, most: u64) -> Result<u64, Problem> {
    tokio::time::timeout(FILE_WITHIN, pieces(request, file, most)).await.unwrap_or_else(|_| Err(too_slow()))
}

async fn pieces(request: Request, file: &mut tokio::fs::File, most: u64) -> Result<u64, Problem> {
    let session = request.extensions().get::<Arc<Session>>().cloned().ok_or_else(stale)?;
    let broken = |error: MultipartError| {
        let detail = format!("The file broke off: {}; send it again.", error.body_text());
        Problem::new(error.status(), detail)
    };
    let full = |error: std::io::Error| {
        let detail = format!("The file cannot be written: {error}; make room on the disk of the data directory.");
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail)
    };
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|error| Problem::new(error.status(), format!("{}; send the form again.", error.body_text())))?;
    let (mut has_token, mut bytes) = (false, 0);
    while let Some(mut part) =
        timeout(PIECE_WITHIN, parts.next_field()).await.map_err(|_| too_slow())?.map_err(broken)?
    {
        let (is_file, is_token) = (part.file_name().is_some(), part.name() == Some(TOKEN_FIELD));
        if is_file && !has_token {
            return Err(stale());
        }
        let mut field = Vec::new();
        while let Some(piece) = timeout(PIECE_WITHIN, part.chunk()).await.map_err(|_| too_slow())?.map_err(broken)? {
            if is_file {
                bytes += piece.len() as u64;
                if bytes <= most {
                    file.write_all(&piece).await.map_err(full)?;
                }
            } else if field.len() + piece.len() <= MAX_FIELD {
                field.extend_from_slice(&piece);
            }
        }
        has_token |= is_token && matches(&session, &String::from_utf8_lossy(&field));
    }
    file.flush().await.map_err(full)?;
    file.sync_all().await.map_err(full)?;
    if has_token { Ok(bytes) } else { Err(stale()) }
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "The file did not arrive in time; send it over a faster line.")
}

/// True when `token` is the session's.
pub fn matches(session: &Session, token: &str) -> bool {
    token.as_bytes().ct_eq(session.form_token.as_bytes()).into()
}

pub fn stale() -> Problem {
    let detail = "The page was open for too long, or the form did not come from it. \
                  Go back, reload the page, and send it again.";
    Problem::new(StatusCode::FORBIDDEN, detail)
}

/// What is wrong with a form, for the fields to say it beside themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    errors: Vec<FieldError>,
    /// Field and whole sentence.
    said: Vec<(String, String)>,
}

impl Faults {
    /// `prefix` is what the errors say before the field, such as `pools/eu `; errors of other things stay whole.
    pub fn new(errors: Vec<FieldError>, prefix: &str) -> Faults {
        let strip = |error: FieldError| match error.at.strip_prefix(prefix) {
            Some(field) => FieldError { at: field.trim().to_owned(), ..error },
            // What is wrong with the id is told of the whole thing.
            None if error.at == prefix.trim_end() && error.problem.ends_with(" is not an id") => {
                FieldError { at: "id".into(), ..error }
            }
            None => error,
        };
        Faults { errors: errors.into_iter().map(strip).collect(), said: Vec::new() }
    }

    /// With fields called as this form calls them; `None` leaves a name as it is.
    pub fn renamed(self, name: impl Fn(&str) -> Option<String>) -> Faults {
        let word = |at: String| name(&at).unwrap_or(at);
        let errors = self.errors.into_iter().map(|error| FieldError { at: word(error.at.clone()), ..error });
        let said = self.said.into_iter().map(|(at, sentence)| (word(at), sentence));
        Faults { errors: errors.collect(), said: said.collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.said.is_empty()
    }

    /// Of the page that shows them.
    pub fn status(&self) -> StatusCode {
        if self.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
    }

    pub fn push(&mut self, error: FieldError) {
        self.errors.push(error);
    }

    /// The errors, to stand among others.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// As the fields stand on the page, so that the first is the first that somebody meets.
    pub fn sorted(mut self, fields: &[&str]) -> Faults {
        let place = |at: &str| fields.iter().position(|field| *field == at).unwrap_or(fields.len());
        self.errors.sort_by_key(|error| place(&error.at));
        self.said.sort_by_key(|(at, _)| place(at));
        self
    }

    /// True for the field where the eye, and the cursor, should go first.
    pub fn leads(&self, field: &str) -> bool {
        let said = self.said.first().map(|(at, _)| at.as_str());
        said.or(self.errors.first().map(|error| error.at.as_str())) == Some(field)
    }

    /// What is wrong with each of these fields, where it is so much that a list helps.
    pub fn summary<'f>(&self, fields: &[&'f str]) -> Vec<(&'f str, String)> {
        let all: Vec<(&str, String)> =
            fields.iter().flat_map(|field| self.of(field).into_iter().map(move |said| (*field, said))).collect();
        if all.len() > 1 { all } else { Vec::new() }
    }

    /// A whole sentence beside `field`, which may begin with a name in small letters.
    pub fn say(&mut self, field: impl Into<String>, sentence: impl Into<String>) {
        self.said.push((field.into(), sentence.into()));
    }

    /// What is wrong with `field`, each as one sentence.
    pub fn of(&self, field: &str) -> Vec<String> {
        let errors = self.errors.iter().filter(|error| error.at == field).map(sentence);
        let said = self.said.iter().filter(|(at, _)| at == field).map(|(_, said)| said.clone());
        said.chain(errors).collect()
    }

    /// What is wrong elsewhere than in the fields that begin with one of `shown`.
    pub fn beside(&self, shown: &[&str]) -> Vec<String> {
        let other = |error: &&FieldError| !shown.iter().any(|field| error.at == *field);
        self.errors
            .iter()
            .filter(other)
            .map(|error| match error.at.as_str() {
                "" => sentence(error),
                // `pools/eu: is still used by …` reads as one sentence.
                at if says_what_it_is(&error.problem) => {
                    sentence(&FieldError { problem: format!("{at} {}", error.problem), ..error.clone() })
                }
                at => format!("{at}: {}", sentence(error)),
            })
            .collect()
    }
}

/// True where the first word is an id, a name or an address, which stays as it is written.
fn begins_with_a_name(text: &str) -> bool {
    /// Words of ours that something can be said of.
    const OURS: [&str; 12] =
        ["it", "this", "that", "there", "what", "nothing", "nobody", "name", "file", "code", "password", "certificate"];
    let mut words = text.split(' ');
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_said_of = matches!(second, "is" | "has" | "exists" | "takes" | "lies" | "stands" | "answers" | "already");
    let parts = first.trim_end_matches('.');
    parts.contains(['-', '/', ':', '.', '_', '@']) || (is_said_of && !OURS.contains(&first))
}

/// True for a problem that goes on from the name of its place.
fn says_what_it_is(problem: &str) -> bool {
    ["is ", "has ", "and ", "stands "].iter().any(|verb| problem.starts_with(verb))
}

/// `problem; remedy` as people write it.
fn sentence(error: &FieldError) -> String {
    let field = error.at.rsplit(['.', ' ', '/']).next().unwrap_or_default();
    let error = &match error.problem.starts_with("and ") {
        true => FieldError { problem: format!("{field} {}", error.problem), ..error.clone() },
        false => error.clone(),
    };
    // A problem that goes on from the name of its field, where that stands above it already.
    let error = &match error.problem.split(' ').next() {
        Some("is" | "has" | "stands" | "leaves" | "hides" | "goes" | "leads" | "lies") => {
            FieldError { problem: format!("this {}", error.problem), ..error.clone() }
        }
        _ => error.clone(),
    };
    let capital = |text: &str| if begins_with_a_name(text) { text.to_owned() } else { capital(text) };
    let end = |text: String| if text.ends_with(['.', '?', '!']) { text } else { text + "." };
    match error.remedy.as_str() {
        "" => end(capital(&error.problem)),
        remedy => format!("{} {}", end(capital(&error.problem)), end(capital(remedy))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_written_with_another_first_letter() {
        for (at, problem, remedy, said) in [
            ("", "www is steered already", "", "www is steered already."),
            ("id", "seoul exists already", "choose another id", "seoul exists already. Choose another id."),
            ("", "geo.demo.test. is steered", "", "geo.demo.test. is steered."),
            ("", "the name is empty", "give one", "The name is empty. Give one."),
            ("", "there is no pool", "use eu-west", "There is no pool. Use eu-west."),
            ("values", "is empty", "give one value", "This is empty. Give one value."),
            ("low", "and high are swapped", "", "Low and high are swapped."),
        ] {
            assert_eq!(sentence(&FieldError::new(at, problem, remedy)), said);
        }
    }

    #[test]
    fn what_is_wrong_with_an_id_stands_beside_its_field() {
        let wrong = FieldError::new("tests/Bad Id!", "\"Bad Id!\" is not an id", "use a-z");
        let faults = Faults::new(vec![wrong], "tests/Bad Id! ");
        assert_eq!(faults.of("id"), ["\"Bad Id!\" is not an id. Use a-z."]);
    }
}
