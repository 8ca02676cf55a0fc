//! Reading rows into `domain` types: every text column is parsed, never trusted.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// Parses a text column.
pub(crate) fn parse<T: FromStr<Err: Display>>(table: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|why: T::Err| StoreError::Row { table, why: why.to_string() })
}

/// Parses a text column that may be empty.
pub(crate) fn parse_option<T: FromStr<Err: Display>>(
    table: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| parse(table, text)).transpose()
}

/// Reads a column that holds a word of the wire, such as a state.
pub(crate) fn word<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|why| StoreError::Row { table, why: format!("{text:?}: {why}") })
}

/// Reads a JSON column.
pub(crate) fn json<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|why| StoreError::Row { table, why: why.to_string() })
}

/// Writes a JSON column.
pub(crate) fn to_json<T: Serialize>(table: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|why| StoreError::Row { table, why: why.to_string() })
}

/// Reads a count that SQL keeps as a signed number.
pub(crate) fn count<T: TryFrom<i64>>(table: &'static str, number: i64) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| StoreError::Row { table, why: format!("{number} is out of range") })
}

/// Writes a count as the signed number SQL keeps.
pub(crate) fn number<T: TryInto<i64>>(table: &'static str, count: T) -> Result<i64, StoreError> {
    count.try_into().map_err(|_| StoreError::Row { table, why: "a number is out of range".into() })
}
