//! Cuts master-file text into words (RFC 1035 section 5.1), for whole zone files and for single
//! values alike. It knows quotes, escapes, parentheses and comments, and not what a word means.

/// One word, as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'t> {
    /// Escapes untouched; without the quotes when `quoted`.
    pub raw: &'t str,
    pub quoted: bool,
    pub line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lexeme<'t> {
    Word(Word<'t>),
    /// White space at the start of a line: the owner is that of the record before.
    Indent,
    /// The end of an entry: line ends inside parentheses are not told.
    End,
    /// `;` up to the end of the line.
    Comment,
}

pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    /// Open parentheses.
    depth: u32,
    /// The line of the first parenthesis that is open.
    opened: u32,
    line_start: bool,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Self {
        // A byte order mark is what some editors leave at the start.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Lexer { text, at: 0, line: 1, depth: 0, opened: 1, line_start: true }
    }

    /// The line, from 1, that is read next.
    pub fn line(&self) -> u32 {
        self.line
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips the rest of a broken entry: to the end of its line, out of all parentheses.
    pub fn skip_line(&mut self) {
        self.depth = 0;
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    /// The next lexeme; an error names the line it began on and leaves the lexer usable.
    pub fn next(&mut self) -> Option<Result<Lexeme<'t>, (u32, String)>> {
        loop {
            let start = std::mem::replace(&mut self.line_start, false);
            let Some(byte) = self.peek() else { return self.finish() };
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    if self.depth == 0 {
                        self.line_start = true;
                        return Some(Ok(Lexeme::End));
                    }
                }
                b' ' | b'\t' | b'\r' => {
                    while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
                        self.at += 1;
                    }
                    if start && self.depth == 0 {
                        return Some(Ok(Lexeme::Indent));
                    }
                }
                b';' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                    return Some(Ok(Lexeme::Comment));
                }
                b'(' => {
                    if self.depth == 0 {
                        self.opened = self.line;
                    }
                    self.at += 1;
                    self.depth = self.depth.saturating_add(1);
                }
                b')' => {
                    self.at += 1;
                    match self.depth.checked_sub(1) {
                        Some(depth) => self.depth = depth,
                        None => return Some(Err((self.line, "\")\" closes nothing; remove it, or add \"(\"".into()))),
                    }
                }
                b'"' => return Some(self.quoted()),
                _ => return Some(self.plain()),
            }
        }
    }

    fn finish(&mut self) -> Option<Result<Lexeme<'t>, (u32, String)>> {
        if self.depth == 0 {
            return None;
        }
        self.depth = 0;
        Some(Err((self.opened, "\"(\" is never closed; add \")\"".into())))
    }

    fn quoted(&mut self) -> Result<Lexeme<'t>, (u32, String)> {
        let start = self.at + 1;
        let end = self.end_of_quote(start)?;
        self.at = end + 1;
        Ok(Lexeme::Word(Word { raw: &self.text[start..end], quoted: true, line: self.line }))
    }

    /// The place of the `"` that closes what begins at `start`.
    fn end_of_quote(&mut self, start: usize) -> Result<usize, (u32, String)> {
        let bytes = self.text.as_bytes();
        let mut at = start;
        loop {
            match bytes.get(at) {
                Some(b'"') => return Ok(at),
                Some(b'\\') if bytes.get(at + 1).is_some_and(|byte| *byte != b'\n') => at += 2,
                Some(byte) if *byte != b'\n' => at += 1,
                _ => {
                    self.at = at.min(bytes.len());
                    let error = "a quote is not closed on its line; add \", and write a line feed as \\010";
                    return Err((self.line, error.into()));
                }
            }
        }
    }

    /// A word without quotes around it. It may hold quotes, as in `alpn="h2,h3"`.
    fn plain(&mut self) -> Result<Lexeme<'t>, (u32, String)> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' => break,
                b'"' => self.at = self.end_of_quote(self.at + 1)? + 1,
                b'\\' if self.text.as_bytes().get(self.at + 1).is_some_and(|next| *next != b'\n') => self.at += 2,
                _ => self.at += 1,
            }
        }
        Ok(Lexeme::Word(Word { raw: &self.text[start..self.at], quoted: false, line: self.line }))
    }
}

impl Word<'_> {
    /// The bytes meant: escapes resolved, inner quotes taken off.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        unescape(self.raw)
    }
}

/// Resolves `\X` and `\DDD`, and takes off quotes that are not escaped.
pub(super) fn unescape(raw: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => {}
            b'\\' => bytes.push(unescape_one(&mut rest).ok_or_else(|| {
                format!("{:?} has a broken escape; use \\\" and \\\\, or \\000 to \\255 for a byte", brief(raw))
            })?),
            other => bytes.push(other),
        }
    }
    Ok(bytes)
}

fn unescape_one(rest: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = rest.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        value = value * 10 + u32::from(rest.next().filter(u8::is_ascii_digit)? - b'0');
    }
    u8::try_from(value).ok()
}

/// A word as an error message shows it: short enough to read.
pub(super) fn brief(raw: &str) -> String {
    if raw.chars().count() <= 40 { raw.to_owned() } else { raw.chars().take(37).chain(['…']).collect() }
}

/// Writes `bytes` as a quoted string that holds only printable ASCII, so that nothing in it can end
/// the string, the line or a terminal's patience.
pub(super) fn write_quoted(bytes: &[u8], out: &mut String) {
    out.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', byte as char]),
            0x20..=0x7e => out.push(byte as char),
            _ => out.push_str(&format!("\\{byte:03}")),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut lexer = Lexer::new(text);
        let mut found = Vec::new();
        while let Some(lexeme) = lexer.next() {
            found.push(match lexeme {
                Ok(Lexeme::Word(word)) if word.quoted => format!("{}:<{}>", word.line, word.raw),
                Ok(Lexeme::Word(word)) => format!("{}:{}", word.line, word.raw),
                Ok(Lexeme::Indent) => "_".into(),
                Ok(Lexeme::End) => "$".into(),
                Ok(Lexeme::Comment) => ";".into(),
                Err((line, error)) => {
                    lexer.skip_line();
                    format!("{line}! {error}")
                }
            });
        }
        found
    }

    #[test]
    fn text_is_cut_as_rfc_1035_section_5_1_says() {
        for (text, wanted) in [
            ("a b\n c", vec!["1:a", "1:b", "$", "_", "2:c"]),
            ("a (b ; c\n d\n) e\nf", vec!["1:a", "1:b", ";", "2:d", "3:e", "$", "4:f"]),
            (r#"a "b \" ; (" c"#, vec!["1:a", r#"1:<b \" ; (>"#, "1:c"]),
            (r#"1 . alpn="h2 h3" port=1"#, vec!["1:1", "1:.", r#"1:alpn="h2 h3""#, "1:port=1"]),
            (r"a\ b a\;b", vec![r"1:a\ b", r"1:a\;b"]),
            ("a\r\nb", vec!["1:a", "$", "2:b"]),
            (
                "a \"b\nc",
                vec!["1:a", "1! a quote is not closed on its line; add \", and write a line feed as \\010", "$", "2:c"],
            ),
            ("a )\nb", vec!["1:a", "1! \")\" closes nothing; remove it, or add \"(\"", "$", "2:b"]),
            ("a (\nb", vec!["1:a", "2:b", "1! \"(\" is never closed; add \")\""]),
            ("a\\", vec!["1:a\\"]),
        ] {
            assert_eq!(words(text), wanted, "{text}");
        }
    }

    #[test]
    fn escapes_are_bytes() {
        assert_eq!(unescape(r#"a\"b\000\255\\"#).unwrap(), b"a\"b\x00\xff\\");
        for broken in [r"\", r"\1", r"\25", r"\256", r"\1x2"] {
            assert!(unescape(broken).unwrap_err().contains("; "), "{broken}");
        }
    }
}
