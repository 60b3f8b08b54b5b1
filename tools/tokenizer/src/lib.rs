//! Hugging Face's `tokenizers` crate behind six functions, for Go's package
//! `tokenizer`.
//!
//! An instance of the module holds one tokenizer. The caller asks for a request
//! buffer with [`request`], fills it, and calls one of the other functions with
//! the number of bytes it wrote. Each returns `address << 32 | length` of an
//! answer: one status byte (0: what was asked for follows; 1: an error message
//! follows) and the payload. Both buffers belong to the module and live until
//! the next call. Numbers are unsigned, 32 bits wide, little-endian; a list of
//! strings is a sequence of length and bytes, up to the end of the buffer.

use std::cell::RefCell;
use tokenizers::{AddedToken, Tokenizer};

#[derive(Default)]
struct State {
    tokenizer: Option<Tokenizer>,
    request: Vec<u8>,
    answer: Vec<u8>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

type Answer = Result<Vec<u8>, String>;

/// Returns the address of a request buffer of `len` bytes.
#[no_mangle]
pub extern "C" fn request(len: u32) -> u32 {
    STATE.with_borrow_mut(|s| {
        s.request = vec![0; len as usize];
        s.request.as_ptr() as u32
    })
}

/// Request: the text of a tokenizer.json. Answer: nothing.
#[no_mangle]
pub extern "C" fn load() -> u64 {
    respond(|s| {
        let mut tokenizer =
            Tokenizer::from_bytes(&s.request).map_err(|e| e.to_string())?;
        // Padding and truncation belong to the caller, whatever the file says.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
        s.tokenizer = Some(tokenizer);
        Ok(Vec::new())
    })
}

/// Request: strings. Answer, for each: the number of tokens, then their id,
/// first byte and byte after the last in the string.
#[no_mangle]
pub extern "C" fn encode(add_special: u32) -> u64 {
    respond(|s| {
        let tokenizer = s.tokenizer.as_ref().ok_or("no tokenizer loaded")?;
        let mut out = Vec::with_capacity(4 * s.request.len());
        for text in strings(&s.request)? {
            let encoding = tokenizer
                .encode(text, add_special != 0)
                .map_err(|e| e.to_string())?;
            put(&mut out, encoding.len());
            for (id, (start, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
                put(&mut out, *id as usize);
                put(&mut out, *start);
                put(&mut out, *end);
            }
        }
        Ok(out)
    })
}

/// Request: lists of ids, each a length and ids. Answer: strings.
#[no_mangle]
pub extern "C" fn decode(skip_special: u32) -> u64 {
    respond(|s| {
        let tokenizer = s.tokenizer.as_ref().ok_or("no tokenizer loaded")?;
        let mut out = Vec::new();
        let mut rest = s.request.as_slice();
        while !rest.is_empty() {
            let n = take_number(&mut rest)?;
            let ids = (0..n)
                .map(|_| take_number(&mut rest))
                .collect::<Result<Vec<u32>, String>>()?;
            let text = tokenizer
                .decode(&ids, skip_special != 0)
                .map_err(|e| e.to_string())?;
            put_string(&mut out, &text);
        }
        Ok(out)
    })
}

/// Request: strings, to be added as special tokens. Answer: the number of
/// tokens that were new.
#[no_mangle]
pub extern "C" fn add_tokens() -> u64 {
    respond(|s| {
        let tokenizer = s.tokenizer.as_mut().ok_or("no tokenizer loaded")?;
        let tokens: Vec<AddedToken> = strings(&s.request)?
            .into_iter()
            .map(|t| AddedToken::from(t, true))
            .collect();
        let mut out = Vec::new();
        put(&mut out, tokenizer.add_special_tokens(&tokens));
        Ok(out)
    })
}

/// Request: nothing. Answer, for each token: its id, 1 if it is special and
/// else 0, and its string.
#[no_mangle]
pub extern "C" fn vocabulary() -> u64 {
    respond(|s| {
        let tokenizer = s.tokenizer.as_ref().ok_or("no tokenizer loaded")?;
        let added = tokenizer.get_added_tokens_decoder();
        let mut out = Vec::new();
        for (token, id) in tokenizer.get_vocab(true) {
            let special = added.get(&id).is_some_and(|t| t.special);
            put(&mut out, id as usize);
            put(&mut out, special as usize);
            put_string(&mut out, &token);
        }
        Ok(out)
    })
}

fn respond(f: impl FnOnce(&mut State) -> Answer) -> u64 {
    STATE.with_borrow_mut(|s| {
        s.answer = Vec::new();
        let (status, mut payload) = match f(s) {
            Ok(payload) => (0, payload),
            Err(message) => (1, message.into_bytes()),
        };
        s.request = Vec::new();
        payload.insert(0, status);
        s.answer = payload;
        (s.answer.as_ptr() as u64) << 32 | s.answer.len() as u64
    })
}

fn put(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&(n as u32).to_le_bytes());
}

fn put_string(out: &mut Vec<u8>, s: &str) {
    put(out, s.len());
    out.extend_from_slice(s.as_bytes());
}

fn take_number(rest: &mut &[u8]) -> Result<u32, String> {
    let (head, tail) = rest.split_first_chunk::<4>().ok_or("request too short")?;
    *rest = tail;
    Ok(u32::from_le_bytes(*head))
}

fn strings(mut rest: &[u8]) -> Result<Vec<&str>, String> {
    let mut out = Vec::new();
    while !rest.is_empty() {
        let n = take_number(&mut rest)? as usize;
        let (head, tail) = rest.split_at_checked(n).ok_or("request too short")?;
        out.push(std::str::from_utf8(head).map_err(|e| e.to_string())?);
        rest = tail;
    }
    Ok(out)
}
