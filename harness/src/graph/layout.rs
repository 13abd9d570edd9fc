//! Places a wait-for graph on a plane: the cycle as a loop, what waits behind it as branches that point outwards.
//!
//! The loop runs clockwise round a grid of two or three columns, so that every edge of it is a straight line between
//! neighbours; a graph without a cycle is a loop of one node with one branch. Only coordinates are made here. The same
//! plan gives the same coordinates, and no two nodes overlap, whatever their sizes.

/// Width and height of a node, or what is kept free between nodes, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Across.
    pub width: i32,
    /// Down.
    pub height: i32,
}

/// A place, in pixels from the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Across.
    pub x: i32,
    /// Down.
    pub y: i32,
}

/// Nodes that wait behind one node of the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The position within the loop that they wait behind.
    pub at: usize,
    /// The nodes, nearest to the loop first.
    pub nodes: Vec<usize>,
}

/// What is to be placed. A node is an index into `sizes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The nodes' sizes.
    pub sizes: Vec<Size>,
    /// The loop, in the direction of its edges.
    pub ring: Vec<usize>,
    /// What waits behind it.
    pub branches: Vec<Branch>,
    /// Kept free between neighbours, where labels stand.
    pub gap: Size,
}

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The size of the whole.
    pub size: Size,
    /// Each node's centre; `None` for nodes that are neither in the loop nor on a branch.
    pub centers: Vec<Option<Point>>,
}

/// On which side of the loop a branch grows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Top,
    Bottom,
    Left,
    Right,
}

/// A node of the loop in the grid.
struct Slot {
    column: usize,
    row: usize,
    side: Side,
}

/// Places the nodes of `plan`.
pub fn layout(plan: &Plan) -> Layout {
    let (columns, rows, slots) = grid(plan.ring.len());
    let on = |side: Side| {
        let at = move |slot: &Slot| slot.side == side;
        plan.branches.iter().filter(|branch| slots.get(branch.at).is_some_and(at)).collect::<Vec<_>>()
    };
    let (top, bottom, left, right) = (on(Side::Top), on(Side::Bottom), on(Side::Left), on(Side::Right));

    let mut widths = vec![0; columns];
    let mut heights = vec![0; rows];
    for (at, slot) in slots.iter().enumerate() {
        let size = plan.sizes[plan.ring[at]];
        widths[slot.column] = widths[slot.column].max(size.width);
        heights[slot.row] = heights[slot.row].max(size.height);
        let beside: Vec<&Branch> = plan.branches.iter().filter(|branch| branch.at == at).collect();
        match slot.side {
            Side::Top | Side::Bottom => widths[slot.column] = widths[slot.column].max(span(plan, &beside, true)),
            Side::Left | Side::Right => heights[slot.row] = heights[slot.row].max(span(plan, &beside, false)),
        }
    }
    let above = levels(plan, &top, false);
    let below = levels(plan, &bottom, false);
    let before = levels(plan, &left, true);
    let after = levels(plan, &right, true);

    let column_x = centers(&widths, total(&before, plan.gap.width), plan.gap.width);
    let row_y = centers(&heights, total(&above, plan.gap.height), plan.gap.height);
    let mut centers = vec![None; plan.sizes.len()];
    let inner = Size { width: sum(&widths, plan.gap.width), height: sum(&heights, plan.gap.height) };
    let (x0, y0) = (total(&before, plan.gap.width), total(&above, plan.gap.height));
    for (at, slot) in slots.iter().enumerate() {
        let center = Point { x: column_x[slot.column], y: row_y[slot.row] };
        centers[plan.ring[at]] = Some(center);
        let beside: Vec<&Branch> = plan.branches.iter().filter(|branch| branch.at == at).collect();
        let across = matches!(slot.side, Side::Top | Side::Bottom);
        let mut from = if across { center.x } else { center.y } - span(plan, &beside, across) / 2;
        for branch in beside {
            let wide = breadth(plan, branch, across);
            let middle = from + wide / 2;
            let (levels, gap) = match slot.side {
                Side::Top => (&above, plan.gap.height),
                Side::Bottom => (&below, plan.gap.height),
                Side::Left => (&before, plan.gap.width),
                Side::Right => (&after, plan.gap.width),
            };
            let mut out = 0;
            for (level, node) in branch.nodes.iter().enumerate() {
                let away = out + gap + levels[level] / 2;
                out += gap + levels[level];
                centers[*node] = Some(match slot.side {
                    Side::Top => Point { x: middle, y: y0 - away },
                    Side::Bottom => Point { x: middle, y: y0 + inner.height + away },
                    Side::Left => Point { x: x0 - away, y: middle },
                    Side::Right => Point { x: x0 + inner.width + away, y: middle },
                });
            }
            from += wide + if across { plan.gap.width } else { plan.gap.height } / 4;
        }
    }
    let width = x0 + inner.width + total(&after, plan.gap.width);
    let height = y0 + inner.height + total(&below, plan.gap.height);
    Layout { size: Size { width, height }, centers }
}

/// Columns, rows, and the place of each node of a loop of `n`, clockwise from the upper left.
fn grid(n: usize) -> (usize, usize, Vec<Slot>) {
    let columns = match n {
        0 | 1 => 1,
        2..=4 => 2,
        _ => 3,
    };
    let rows = match n {
        0..=2 => 1,
        3 | 4 => 2,
        _ => (n - 1) / 2,
    };
    let last = rows - 1;
    let mut places: Vec<(usize, usize)> = (0..columns).map(|column| (column, 0)).collect();
    places.extend((1..last).map(|row| (columns - 1, row)));
    if last > 0 {
        places.extend((0..columns).rev().map(|column| (column, last)));
        places.extend((1..last).rev().map(|row| (0, row)));
    }
    places.truncate(n);
    let slots = places.into_iter().map(|(column, row)| {
        let side = match (row, column) {
            (0, _) => Side::Top,
            (row, _) if row == last => Side::Bottom,
            (_, 0) => Side::Left,
            _ => Side::Right,
        };
        Slot { column, row, side }
    });
    (columns, rows, slots.collect())
}

/// The greatest extent of a branch's nodes, across or down.
fn breadth(plan: &Plan, branch: &Branch, across: bool) -> i32 {
    let extent = |node: &usize| if across { plan.sizes[*node].width } else { plan.sizes[*node].height };
    branch.nodes.iter().map(extent).max().unwrap_or(0)
}

/// What branches take side by side.
fn span(plan: &Plan, branches: &[&Branch], across: bool) -> i32 {
    let gap = if across { plan.gap.width } else { plan.gap.height } / 4;
    let extents: Vec<i32> = branches.iter().map(|branch| breadth(plan, branch, across)).collect();
    sum(&extents, gap)
}

/// The extent of each level of branches that grow in one direction.
fn levels(plan: &Plan, branches: &[&Branch], across: bool) -> Vec<i32> {
    let deep = branches.iter().map(|branch| branch.nodes.len()).max().unwrap_or(0);
    let extent = |node: usize| if across { plan.sizes[node].width } else { plan.sizes[node].height };
    let level = |n: usize| branches.iter().filter_map(|branch| branch.nodes.get(n)).map(|node| extent(*node)).max();
    (0..deep).map(|n| level(n).unwrap_or(0)).collect()
}

/// The levels with a gap before each.
fn total(levels: &[i32], gap: i32) -> i32 {
    levels.iter().map(|level| level + gap).sum()
}

/// The extents with a gap between two.
fn sum(extents: &[i32], gap: i32) -> i32 {
    extents.iter().sum::<i32>() + gap * (extents.len() as i32 - 1).max(0)
}

fn centers(extents: &[i32], mut from: i32, gap: i32) -> Vec<i32> {
    let mut out = Vec::with_capacity(extents.len());
    for extent in extents {
        out.push(from + extent / 2);
        from += extent + gap;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(ring: usize, branches: &[(usize, usize)], sizes: &[(i32, i32)]) -> Plan {
        let nodes = ring + branches.iter().map(|(_, deep)| deep).sum::<usize>();
        let size = |at: usize| sizes[at % sizes.len()];
        let mut next = ring;
        let mut branch = |&(at, deep): &(usize, usize)| {
            next += deep;
            Branch { at: at % ring.max(1), nodes: (next - deep..next).collect() }
        };
        Plan {
            sizes: (0..nodes).map(size).map(|(width, height)| Size { width, height }).collect(),
            ring: (0..ring).collect(),
            branches: branches.iter().map(&mut branch).collect(),
            gap: Size { width: 100, height: 60 },
        }
    }

    fn corners(plan: &Plan, layout: &Layout, node: usize) -> (i32, i32, i32, i32) {
        let (size, center) = (plan.sizes[node], layout.centers[node].expect("every node is placed"));
        let (left, top) = (center.x - size.width / 2, center.y - size.height / 2);
        (left, top, left + size.width, top + size.height)
    }

    #[test]
    fn two_threads_and_two_locks_are_a_square() {
        let plan = plan(4, &[], &[(100, 40)]);
        let layout = layout(&plan);
        let at = |x, y| Some(Point { x, y });
        assert_eq!(layout.centers, [at(50, 20), at(250, 20), at(250, 120), at(50, 120)]);
        assert_eq!(layout.size, Size { width: 300, height: 140 });
    }

    #[test]
    fn neighbours_of_a_loop_share_a_line() {
        for n in [2, 4, 6, 8, 10, 12] {
            let plan = plan(n, &[], &[(100, 40)]);
            let layout = layout(&plan);
            for at in 0..n {
                let (a, b) = (layout.centers[at].unwrap(), layout.centers[(at + 1) % n].unwrap());
                assert!(a.x == b.x || a.y == b.y, "{n} nodes: {at} and the next");
            }
        }
    }

    #[test]
    fn a_single_chain_stands_upright() {
        let plan = plan(1, &[(0, 3)], &[(100, 40)]);
        let ys: Vec<i32> = layout(&plan).centers.iter().map(|center| center.unwrap().y).collect();
        assert_eq!(ys, [320, 220, 120, 20]);
    }

    proptest! {
        #[test]
        fn nothing_overlaps_or_sticks_out(ring in 1usize..=14,
                                          branches in prop::collection::vec((0usize..14, 1usize..4), 0..8),
                                          sizes in prop::collection::vec((20i32..300, 20i32..90), 1..5)) {
            let plan = plan(ring, &branches, &sizes);
            let found = layout(&plan);
            prop_assert_eq!(&found, &layout(&plan));
            for a in 0..plan.sizes.len() {
                let (left, top, right, bottom) = corners(&plan, &found, a);
                prop_assert!(left >= 0 && top >= 0 && right <= found.size.width && bottom <= found.size.height);
                for b in 0..a {
                    let (l, t, r, d) = corners(&plan, &found, b);
                    prop_assert!(right <= l || r <= left || bottom <= t || d <= top, "{a} and {b} overlap");
                }
            }
        }
    }
}
