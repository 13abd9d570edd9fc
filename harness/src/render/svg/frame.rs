//! What every picture stands in: size, title, description, colours.

use maud::{Markup, PreEscaped, html};

/// Colours and strokes of both pictures, light and dark; a page that holds many pictures holds this once.
pub(in crate::render) const STYLE: &str = include_str!("picture.css");

/// The outermost element of a picture.
pub(super) fn frame(
    class: &str,
    (width, height): (i32, i32),
    title: &str,
    describe: &str,
    alone: bool,
    body: &Markup,
) -> Markup {
    let view = format!("0 0 {width} {height}");
    let class = format!("gl {class}");
    html! {
        svg xmlns=[alone.then_some("http://www.w3.org/2000/svg")] class=(class) viewBox=(view) width=(width) height=(height) role="img" {
            title { (title) }
            desc { (describe) }
            @if alone { style { (PreEscaped(STYLE)) } rect class="page" width="100%" height="100%" {} }
            (body)
        }
    }
}
