"""The wall between clinics: every statement must say whose rows it reads or writes, or it is refused.

Watches the whole engine, so that a query that forgets its clinic cannot run anywhere. PostgreSQL's row security stands
behind it as a second wall (see the migrations).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Delete, Engine, FromClause, Insert, Select, Table, Update, event
from sqlalchemy.sql import operators
from sqlalchemy.sql.ddl import DDLElement
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, BooleanClauseList, Grouping
from sqlalchemy.sql.selectable import Alias, Exists, Join, ScalarSelect, SelectBase, Subquery
from sqlalchemy.sql.visitors import iterate

from afterglow.errors import OutOfScope
from afterglow.store.tables import UNSCOPED

CLINIC_OPTION = "afterglow_clinic"
OWN_SQL = "afterglow_own_sql"
_MOST_KEPT = 2_000
_PASSED: dict[Any, tuple[int, ...]] = {}
"""Statements that passed, by their structure: which of their bound values were the clinic's.

The same structure with the clinic of now in the same places passes too; looking into each again would take longer than
running it.
"""


def guard(engine: Engine) -> None:
    """Refuse, on this engine, text as SQL and every statement whose tables are not all held to the clinic."""
    event.listen(engine, "before_execute", _before_execute)
    event.listen(engine, "before_cursor_execute", _before_cursor)


def _before_execute(
    connection: Connection,
    statement: Any,
    multiparams: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    del connection
    if options.get(OWN_SQL):
        return
    clinic_id = options.get(CLINIC_OPTION)
    check_scope(statement, clinic_id, multiparams or ([params] if params else []))


def _before_cursor(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: object
) -> None:
    del connection, cursor, statement, parameters, executemany
    if context.compiled is None and not context.execution_options.get(OWN_SQL):
        raise OutOfScope("SQL as text is refused", next_step="Write it with the tables of afterglow.store.tables")


def check_scope(statement: Any, clinic_id: str | None, rows: Sequence[Mapping[str, Any]] = ()) -> None:
    """Refuse a statement that is not held to one clinic.

    `clinic_id` says whose rows the transaction may touch, None where only the installation's own tables are used;
    `rows` are the parameters given beside the statement.

    Raises: OutOfScope.
    """
    if clinic_id is None or not isinstance(statement, Select | Update | Delete):
        _check(statement, clinic_id, rows)
        return
    key = statement._generate_cache_key()  # noqa: SLF001  by which SQLAlchemy itself tells structures apart
    own = () if key is None else tuple(i for i, each in enumerate(key.bindparams) if each.value == clinic_id)
    if key is None or not own or _PASSED.get(key.key) != own:
        _check(statement, clinic_id, rows)
    if key is not None and own:
        if len(_PASSED) >= _MOST_KEPT:
            _PASSED.clear()
        _PASSED[key.key] = own


def _check(statement: Any, clinic_id: str | None, rows: Sequence[Mapping[str, Any]]) -> None:
    if isinstance(statement, Insert):
        _check_insert(statement, clinic_id, rows)
    elif isinstance(statement, Update | Delete):
        held = _held(_conjuncts(statement.whereclause), clinic_id)
        _check_held(statement, [statement.table], held, clinic_id)
    elif not isinstance(statement, Select):
        kind = "A change of the schema" if isinstance(statement, DDLElement) else "A statement of this kind"
        raise OutOfScope(f"{kind} is refused", observed=type(statement).__name__)
    parts = list(iterate(statement))
    plain = _plain_sources(statement, parts)
    if plain is not None:
        _check_held(statement, plain, _held(_conjuncts(statement.whereclause), clinic_id), clinic_id)
        return
    apart = {id(part.element) for part in parts if isinstance(part, Subquery | CTE)}  # these see no table around them
    around: set[int] = set()
    for part in parts:
        if isinstance(part, Select):
            held = _held([*_conjuncts(part.whereclause), *_join_conjuncts(part)], clinic_id)
            around |= held if part is statement else set()
            sources = [table for source in part.get_final_froms() for table in _tables(source)]
            _check_held(part, sources, held if id(part) in apart else held | around, clinic_id)


def _plain_sources(statement: Any, parts: Sequence[Any]) -> list[FromClause] | None:
    """The tables of a select without joins, aliases or queries inside, read off its columns; None for any other.

    Asking SQLAlchemy for the tables compiles the statement, which takes longer than running it.
    """
    if not isinstance(statement, Select) or statement._from_obj or statement._setup_joins:  # noqa: SLF001  nowhere else
        return None
    found: dict[int, FromClause] = {}
    for part in parts:
        if part is statement:
            continue
        if isinstance(part, FromClause | SelectBase | Exists | ScalarSelect) and not isinstance(part, Table):
            return None
        table = part if isinstance(part, Table) else getattr(part, "table", None)
        if isinstance(table, FromClause):
            found[id(table)] = table
    return list(found.values())


def _check_insert(statement: Insert, clinic_id: str | None, rows: Sequence[Mapping[str, Any]]) -> None:
    if statement.table in UNSCOPED:
        return
    if statement.select is not None:
        raise OutOfScope("An insert from a query is refused", observed=str(statement.table))
    own: Mapping[Any, Any] = statement._values or {}  # noqa: SLF001  the only place where SQLAlchemy keeps the values
    fixed = {getattr(column, "name", column): getattr(value, "value", value) for column, value in own.items()}
    groups: Any = statement._multi_values  # noqa: SLF001
    many = [
        {getattr(column, "name", column): value for column, value in row.items()} for group in groups for row in group
    ]
    for row in [{**fixed, **each} for each in (*rows, *many)] or [fixed]:
        if clinic_id is None or row.get("clinic_id") != clinic_id:
            raise OutOfScope("A row of another clinic is refused", observed=f"table {statement.table}")


def _held(conjuncts: Iterable[Any], clinic_id: str | None) -> set[int]:
    return {id(table) for each in conjuncts if (table := _holds(each, clinic_id)) is not None}


def _check_held(statement: Any, sources: Sequence[FromClause], held: set[int], clinic_id: str | None) -> None:
    for source in sources:
        table = source.element if isinstance(source, Alias) else source
        if isinstance(table, Subquery | CTE) or table in UNSCOPED:
            continue
        if not isinstance(table, Table) or clinic_id is None or id(source) not in held:
            raise OutOfScope(
                "A statement without its clinic is refused",
                observed=f"{type(statement).__name__.lower()} on {getattr(table, 'name', table)}",
                allowed="WHERE clinic_id = the clinic of the transaction, for each table",
            )


def _holds(each: ColumnElement[Any], clinic_id: str | None) -> FromClause | None:
    """The table that this condition holds to the clinic, if it does."""
    if not isinstance(each, BinaryExpression) or each.operator is not operators.eq:
        return None
    column, value = each.left, each.right
    if getattr(column, "name", None) != "clinic_id" or not isinstance(value, BindParameter):
        return None
    table: FromClause | None = getattr(column, "table", None)
    return table if value.value == clinic_id else None


def _conjuncts(where: Any) -> Iterator[ColumnElement[Any]]:
    if where is None:
        return
    if isinstance(where, Grouping):
        yield from _conjuncts(where.element)
    elif isinstance(where, BooleanClauseList) and where.operator is operators.and_:
        for each in where.clauses:
            yield from _conjuncts(each)
    else:
        yield where


def _join_conjuncts(statement: Select[Any]) -> Iterator[ColumnElement[Any]]:
    for source in statement.get_final_froms():
        join: FromClause = source
        while isinstance(join, Join):
            if not join.isouter and not join.full:
                yield from _conjuncts(join.onclause)
            join = join.left


def _tables(source: Any) -> Iterator[FromClause]:
    if isinstance(source, Join):
        yield from _tables(source.left)
        yield from _tables(source.right)
    elif not isinstance(source, ScalarSelect | Exists):
        yield source
