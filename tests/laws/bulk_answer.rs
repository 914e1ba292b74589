//! A bulk answer is never believed to say more than it says.

use loghaul::pipeline::sink::answer::{Items, Reading, Unreadable, read};
use serde_json::Value;

use super::choice::Choices;

/// First byte: documents sent. A number: where the answer is cut. The rest: the answer.
pub fn law(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (sent, cut) = (u32::from(choices.byte() % 8), choices.number());
    let body = choices.rest;
    let mut items = Items::default();
    let reading = read(body, sent, &mut items);

    // A parser of JSON that knows nothing of bulk answers. Where a name comes twice, JSON says nothing.
    let whole: Option<Value> = serde_json::from_slice(body).ok();
    let elements = whole.as_ref().and_then(|whole| whole.as_object()?.get("items")?.as_array());
    let names_items = memchr::memmem::find_iter(body, "\"items\"").count();
    let plain = !body.contains(&b'\\');
    if let Some(whole) = &whole {
        match elements {
            Some(elements) if names_items == 1 && plain => {
                assert_ne!(reading, Reading::Unreadable(Unreadable::NotBulk), "it is one: {whole}");
                assert_eq!(matches!(reading, Reading::Unreadable(_)), elements.len() != sent as usize, "{whole}");
            }
            None => assert!(matches!(reading, Reading::Unreadable(_)), "it is none: {whole}"),
            Some(_) => {}
        }
    }
    match reading {
        Reading::Unreadable(_) => return,
        Reading::AllCreated => {
            let elements = elements.unwrap_or_else(|| panic!("not a bulk answer: {}", body.escape_ascii()));
            assert_eq!(elements.len(), sent as usize);
            assert!(elements.iter().all(|element| status(element) == Some(201)), "{}", body.escape_ascii());
        }
        Reading::Items => {
            for n in 0..sent as usize {
                let mut copy = body.to_vec();
                let item = items.item(&mut copy, n);
                let Some(elements) = elements.filter(|_| names_items == 1 && plain) else { continue };
                let text = elements[n].to_string();
                let ambiguous = memchr::memmem::find_iter(body, "\"status\"").count() > sent as usize;
                if !ambiguous {
                    assert_eq!(Some(u64::from(item.status)), status(&elements[n]).or(Some(0)), "{text}");
                }
            }
        }
    }
    // Cut anywhere but in the space at its end, it says nothing.
    let end = body.trim_ascii_end().len();
    if end > 0 {
        let cut = cut % end;
        let reading = read(&body[..cut], sent, &mut items);
        assert!(matches!(reading, Reading::Unreadable(_)), "cut at {cut}: {}", body.escape_ascii());
    }
}

/// What the only action of an item answers, if it is a status.
fn status(element: &Value) -> Option<u64> {
    let action = element.as_object().filter(|item| item.len() == 1)?.values().next()?;
    action.get("status")?.as_u64().filter(|status| u16::try_from(*status).is_ok())
}
