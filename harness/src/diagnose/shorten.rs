//! Function names of a length that somebody reads: generic arguments of async frameworks run to thousands of characters.

/// Names up to this length, in bytes, are shown whole.
const READABLE: usize = 100;

/// The name with the generic arguments of types and functions left out as `<…>`, if it is long. What an implementation is
/// of, `<T as Trait>`, stays.
pub fn shorten(function: &str) -> String {
    if function.len() <= READABLE {
        return function.to_string();
    }
    let mut short = String::new();
    // How many argument lists are open around the place where the walk stands; nothing inside them is kept.
    let mut depth = 0_usize;
    let mut last = ' ';
    for c in function.chars() {
        let opens = c == '<' && (depth > 0 || last.is_alphanumeric() || matches!(last, '_' | '}' | ':'));
        let closes = c == '>' && depth > 0 && last != '-';
        if opens {
            if depth == 0 {
                short.push_str("<…>");
            }
            depth += 1;
        } else if closes {
            depth -= 1;
        } else if depth == 0 {
            short.push(c);
        }
        last = c;
    }
    // Brackets that do not pair are no Rust name: better long than wrong.
    if depth == 0 { short } else { function.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn arguments_go_and_implementations_stay() {
        let long = |inner: &str| inner.replace("LONG", &"x::".repeat(60));
        for (name, short) in [
            ("park<LONGA, (B, C<D>)>", "park<…>"),
            ("<LONGFuture<A> as Future>::poll::<B>", "<LONGFuture<…> as Future>::poll::<…>"),
            ("f<fn(A) -> LONGB<C>>::{closure#0}<D>", "f<…>::{closure#0}<…>"),
            ("<dyn Fn<LONGA> -> B>::call", "<dyn Fn<…> -> B>::call"),
        ] {
            assert_eq!(shorten(&long(name)), long(short));
        }
        assert_eq!(shorten("with_thread_data<ParkResult>"), "with_thread_data<ParkResult>");
        let unpaired = format!("operator<<{}", "x".repeat(200));
        assert_eq!(shorten(&unpaired), unpaired);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_and_never_grows_by_more_than_its_brackets(text in "[a-z<>:_ \\-{}é]{0,300}") {
            let short = shorten(&text);
            prop_assert!(short.chars().count() <= text.chars().count() + 2 * text.matches('<').count());
        }
    }
}
