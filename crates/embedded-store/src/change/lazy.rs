use crate::failure::Halt;
use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

/// A table that is opened when it is needed. Most changes do without most tables, and each that is opened takes its time.
pub(super) struct Lazy<'t, K: Key + 'static, V: Value + 'static> {
    txn: &'t WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    table: Option<Table<'t, K, V>>,
}

impl<'t, K: Key + 'static, V: Value + 'static> Lazy<'t, K, V> {
    pub(super) fn of(txn: &'t WriteTransaction, definition: TableDefinition<'static, K, V>) -> Self {
        Self { txn, definition, table: None }
    }

    pub(super) fn open(&mut self) -> Result<&mut Table<'t, K, V>, Halt> {
        let table = match self.table.take() {
            Some(table) => table,
            None => self.txn.open_table(self.definition)?,
        };
        Ok(self.table.insert(table))
    }
}
