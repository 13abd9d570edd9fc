//! Elementary cycles of a directed graph, by Johnson's algorithm, bounded and without recursion.

/// The elementary cycles of the graph `adjacent` (whose entries must be below its length), each beginning with its
/// smallest vertex, shortest first and then in lexicographic order; and whether `limit` cut the search short.
///
/// Takes time proportional to (vertices + edges) x (cycles + vertices on cycles), so that a dense graph costs no more
/// than `limit` allows. Loops (a vertex that leads to itself) are cycles of length one.
pub(super) fn elementary_cycles(adjacent: &[Vec<usize>], limit: usize) -> (Vec<Vec<usize>>, bool) {
    let mut core = Core::of(adjacent);
    let mut search = Search::new(adjacent);
    let mut truncated = false;
    for start in 0..adjacent.len() {
        if !core.alive[start] {
            continue;
        }
        let component = core.component_of(start);
        if !search.from(start, &component, limit) {
            truncated = true;
            break;
        }
        // Every cycle through `start` is known now; later ones must do without it.
        core.drop_all(vec![start]);
    }
    let mut cycles = search.cycles;
    cycles.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    (cycles, truncated)
}

/// What is left of a graph when everything is dropped, again and again, that nothing leads to or that leads nowhere: only
/// what lies on a cycle or between two.
struct Core<'a> {
    adjacent: &'a [Vec<usize>],
    backward: Vec<Vec<usize>>,
    incoming: Vec<usize>,
    outgoing: Vec<usize>,
    alive: Vec<bool>,
}

impl<'a> Core<'a> {
    fn of(adjacent: &'a [Vec<usize>]) -> Core<'a> {
        let mut backward = vec![Vec::new(); adjacent.len()];
        for (from, targets) in adjacent.iter().enumerate() {
            targets.iter().for_each(|&to| backward[to].push(from));
        }
        let incoming: Vec<usize> = backward.iter().map(Vec::len).collect();
        let outgoing: Vec<usize> = adjacent.iter().map(Vec::len).collect();
        let mut core = Core { adjacent, backward, incoming, outgoing, alive: vec![true; adjacent.len()] };
        let loose = (0..adjacent.len()).filter(|&v| core.incoming[v] == 0 || core.outgoing[v] == 0).collect();
        core.drop_all(loose);
        core
    }

    /// Drops these vertices and what then has no way in or no way out.
    fn drop_all(&mut self, mut queue: Vec<usize>) {
        while let Some(vertex) = queue.pop() {
            if !std::mem::replace(&mut self.alive[vertex], false) {
                continue;
            }
            for &to in &self.adjacent[vertex] {
                self.incoming[to] -= 1;
                if self.incoming[to] == 0 {
                    queue.push(to);
                }
            }
            for &from in &self.backward[vertex] {
                self.outgoing[from] -= 1;
                if self.outgoing[from] == 0 {
                    queue.push(from);
                }
            }
        }
    }

    /// The strongly connected component of `start`.
    fn component_of(&self, start: usize) -> Vec<bool> {
        let forth = reachable(self.adjacent, &self.alive, start);
        let back = reachable(&self.backward, &self.alive, start);
        forth.iter().zip(back).map(|(&forth, back)| forth && back).collect()
    }
}

fn reachable(adjacent: &[Vec<usize>], alive: &[bool], start: usize) -> Vec<bool> {
    let mut seen = vec![false; adjacent.len()];
    seen[start] = true;
    let mut queue = vec![start];
    while let Some(vertex) = queue.pop() {
        for &next in &adjacent[vertex] {
            if alive[next] && !std::mem::replace(&mut seen[next], true) {
                queue.push(next);
            }
        }
    }
    seen
}

/// One vertex of the path under search.
struct Frame {
    vertex: usize,
    next: usize,
    closed_a_cycle: bool,
}

struct Search<'a> {
    adjacent: &'a [Vec<usize>],
    /// Not worth another visit until a vertex behind it is free again.
    blocked: Vec<bool>,
    /// Who becomes free when this vertex does.
    waiting: Vec<Vec<usize>>,
    cycles: Vec<Vec<usize>>,
}

impl<'a> Search<'a> {
    fn new(adjacent: &'a [Vec<usize>]) -> Search<'a> {
        let n = adjacent.len();
        Search { adjacent, blocked: vec![false; n], waiting: vec![Vec::new(); n], cycles: Vec::new() }
    }

    /// Collects the cycles through `start` within its component; `false` if there are more than `limit` in all.
    fn from(&mut self, start: usize, component: &[bool], limit: usize) -> bool {
        self.blocked.fill(false);
        self.waiting.iter_mut().for_each(Vec::clear);
        self.blocked[start] = true;
        let mut path = vec![Frame { vertex: start, next: 0, closed_a_cycle: false }];
        while let Some(top) = path.last_mut() {
            let vertex = top.vertex;
            if let Some(&next) = self.adjacent[vertex].get(top.next) {
                top.next += 1;
                if next == start {
                    top.closed_a_cycle = true;
                    if self.cycles.len() == limit {
                        return false;
                    }
                    self.cycles.push(path.iter().map(|frame| frame.vertex).collect());
                } else if component[next] && !self.blocked[next] {
                    self.blocked[next] = true;
                    path.push(Frame { vertex: next, next: 0, closed_a_cycle: false });
                }
                continue;
            }
            let closed = top.closed_a_cycle;
            path.pop();
            if closed {
                self.unblock(vertex);
            } else {
                for &next in self.adjacent[vertex].iter().filter(|&&next| component[next]) {
                    if !self.waiting[next].contains(&vertex) {
                        self.waiting[next].push(vertex);
                    }
                }
            }
            if let Some(parent) = path.last_mut() {
                parent.closed_a_cycle |= closed;
            }
        }
        true
    }

    fn unblock(&mut self, vertex: usize) {
        let mut queue = vec![vertex];
        while let Some(vertex) = queue.pop() {
            if std::mem::replace(&mut self.blocked[vertex], false) {
                queue.append(&mut self.waiting[vertex]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Every simple path that ends where it began, found by trying all of them.
    fn by_trying_all(adjacent: &[Vec<usize>]) -> BTreeSet<Vec<usize>> {
        fn extend(adjacent: &[Vec<usize>], path: &mut Vec<usize>, found: &mut BTreeSet<Vec<usize>>) {
            for &next in &adjacent[path[path.len() - 1]] {
                if next == path[0] {
                    found.insert(path.clone());
                } else if next > path[0] && !path.contains(&next) {
                    path.push(next);
                    extend(adjacent, path, found);
                    path.pop();
                }
            }
        }
        let mut found = BTreeSet::new();
        for start in 0..adjacent.len() {
            extend(adjacent, &mut vec![start], &mut found);
        }
        found
    }

    fn graph() -> impl Strategy<Value = Vec<Vec<usize>>> {
        (1_usize..8).prop_flat_map(|n| {
            prop::collection::vec(prop::collection::btree_set(0..n, 0..=n.min(4)), n)
                .prop_map(|sets| sets.into_iter().map(|set| set.into_iter().collect()).collect())
        })
    }

    proptest! {
        #[test]
        fn finds_what_trying_all_finds(adjacent in graph()) {
            let (cycles, truncated) = elementary_cycles(&adjacent, usize::MAX);
            prop_assert!(!truncated);
            let set: BTreeSet<Vec<usize>> = cycles.iter().cloned().collect();
            prop_assert_eq!(set.len(), cycles.len(), "a cycle is reported once");
            prop_assert_eq!(set, by_trying_all(&adjacent));
            prop_assert!(cycles.windows(2).all(|w| (w[0].len(), &w[0]) < (w[1].len(), &w[1])));
        }

        #[test]
        fn a_limit_is_kept_and_said(adjacent in graph(), limit in 0_usize..6) {
            let all = by_trying_all(&adjacent);
            let (cycles, truncated) = elementary_cycles(&adjacent, limit);
            prop_assert_eq!(cycles.len(), all.len().min(limit));
            prop_assert_eq!(truncated, all.len() > limit);
            prop_assert!(cycles.iter().all(|cycle| all.contains(cycle)));
        }
    }

    #[test]
    fn a_complete_graph_is_bounded_and_a_long_ring_needs_no_stack() {
        let complete: Vec<Vec<usize>> = (0..60).map(|_| (0..60).collect()).collect();
        let (cycles, truncated) = elementary_cycles(&complete, 100);
        assert_eq!((cycles.len(), truncated), (100, true));

        let ring: Vec<Vec<usize>> = (0..100_000).map(|v| vec![(v + 1) % 100_000]).collect();
        let (cycles, truncated) = elementary_cycles(&ring, 10);
        assert_eq!((cycles.len(), cycles[0].len(), truncated), (1, 100_000, false));
    }
}
