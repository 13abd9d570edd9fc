//! The matrix, rows by family and scenario, columns by variant: the order in which every view shows the cases.

use crate::model::{CaseReport, Report, ScenarioInfo, VariantInfo};
use std::collections::HashMap;

/// Every case of a report in its place.
pub(super) struct Matrix<'a> {
    /// The columns.
    pub(super) columns: Vec<Column<'a>>,
    /// The rows, grouped.
    pub(super) families: Vec<Family<'a>>,
}

/// A variant.
pub(super) struct Column<'a> {
    /// Its id.
    pub(super) id: &'a str,
    /// What the report tells about it, if it does.
    pub(super) info: Option<&'a VariantInfo>,
}

/// Rows under one heading.
pub(super) struct Family<'a> {
    /// The heading.
    pub(super) name: &'a str,
    /// The rows.
    pub(super) rows: Vec<Row<'a>>,
}

/// A scenario with its parameters.
pub(super) struct Row<'a> {
    /// `scenario[param=value]`.
    pub(super) name: String,
    /// What the report tells about the scenario, if it does.
    pub(super) scenario: Option<&'a ScenarioInfo>,
    /// One cell a column. A merged report may hold a case twice; both are shown.
    pub(super) cells: Vec<Vec<&'a CaseReport>>,
}

impl<'a> Matrix<'a> {
    /// Sorts the cases of `report` into rows and columns: catalogue order first, then order of appearance.
    pub(super) fn of(report: &'a Report) -> Matrix<'a> {
        let mut columns: Vec<Column<'a>> = Vec::new();
        let mut column_of: HashMap<&str, usize> = HashMap::new();
        let infos = report.variants.iter().map(|info| (info.id.as_str(), Some(info)));
        for (id, info) in infos.chain(report.cases.iter().map(|case| (case.variant.as_str(), None))) {
            column_of.entry(id).or_insert_with(|| {
                columns.push(Column { id, info });
                columns.len() - 1
            });
        }
        let scenarios: HashMap<&str, (usize, &ScenarioInfo)> =
            report.scenarios.iter().enumerate().map(|(at, info)| (info.id.as_str(), (at, info))).collect();
        let mut cases: Vec<&CaseReport> = report.cases.iter().collect();
        cases.sort_by_key(|case| scenarios.get(case.scenario.as_str()).map_or(usize::MAX, |(at, _)| *at));

        let mut families: Vec<Family<'a>> = Vec::new();
        let mut place: HashMap<(&str, String), (usize, usize)> = HashMap::new();
        for case in cases {
            let family = families.iter().position(|family| family.name == case.family).unwrap_or_else(|| {
                families.push(Family { name: &case.family, rows: Vec::new() });
                families.len() - 1
            });
            let name = case.id.row();
            let rows = &mut families[family].rows;
            let (_, row) = *place.entry((&case.family, name.clone())).or_insert_with(|| {
                let scenario = scenarios.get(case.scenario.as_str()).map(|(_, info)| *info);
                rows.push(Row { name, scenario, cells: vec![Vec::new(); columns.len()] });
                (family, rows.len() - 1)
            });
            rows[row].cells[column_of[case.variant.as_str()]].push(case);
        }
        Matrix { columns, families }
    }

    /// Every row.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row<'a>> {
        self.families.iter().flat_map(|family| &family.rows)
    }

    /// Every case, in the order of the matrix.
    pub(super) fn cases(&self) -> impl Iterator<Item = &'a CaseReport> {
        self.rows().flat_map(|row| row.cells.iter().flatten().copied())
    }
}
