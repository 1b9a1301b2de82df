"""What pipelines do not have, and the sentence each gets. One table: what is allowed is what is not in here.

Source: Cloudflare docs, Pipelines "SELECT statements", and Arroyo's planner for what the engine below refuses itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .tokens import words

if TYPE_CHECKING:
    from .cursor import Cursor
    from .tokens import Token

STATEMENTS = {
    "select": "A pipeline writes somewhere: INSERT INTO a_sink SELECT ... FROM a_stream.",
    "with": "WITH goes after the sink's name: INSERT INTO a_sink WITH ... SELECT ...",
    "create": "CREATE is not supported: streams and sinks are made with `edge streams create` and `edge sinks create`.",
    "drop": "DROP is not supported: streams and sinks are removed with `edge streams delete` and `edge sinks delete`.",
    **{
        word: f"{word.upper()} is not supported. A pipeline only has INSERT INTO."
        for word in words(
            """alter analyze attach begin call comment commit copy delete describe desc do execute explain export from
            grant import install kill load lock merge pragma prepare refresh reset revoke rollback set show start
            table truncate unload unlock update use vacuum values"""
        )
    },
}
"""First word of a statement -> why it is refused."""

CLAUSES = {
    "group": "GROUP BY is not supported: pipelines have no aggregates.",
    "having": "HAVING is not supported: pipelines have no aggregates.",
    "order": "ORDER BY is not supported: a stream has no end to sort by.",
    "sort": "SORT BY is not supported: a stream has no end to sort by.",
    "cluster": "CLUSTER BY is not supported.",
    "distribute": "DISTRIBUTE BY is not supported.",
    "limit": "LIMIT is not supported: a stream has no end. Use WHERE.",
    "offset": "OFFSET is not supported: a stream has no end. Use WHERE.",
    "fetch": "FETCH is not supported: a stream has no end. Use WHERE.",
    "union": "UNION is not supported: write one INSERT for each SELECT, separated by `;`.",
    "except": "EXCEPT is not supported: use WHERE.",
    "minus": "MINUS is not supported: use WHERE.",
    "intersect": "INTERSECT is not supported: use WHERE.",
    "window": "WINDOW is not supported: pipelines have no window functions.",
    "qualify": "QUALIFY is not supported: pipelines have no window functions.",
    "lateral": "LATERAL is not supported: UNNEST goes into the select list.",
    "tablesample": "TABLESAMPLE is not supported: use WHERE random() < 0.1.",
    "for": "FOR is not supported after FROM.",
    "on": "ON CONFLICT and RETURNING are not supported.",
    "returning": "RETURNING is not supported: rows go to the sink.",
    "settings": "SETTINGS is not supported.",
    "format": "FORMAT is not supported: the sink knows its format.",
    "into": "SELECT ... INTO is not supported: the sink is named by INSERT INTO.",
    **dict.fromkeys(
        words("join inner left right full cross natural semi anti asof global"),
        "Joins are not supported: a pipeline reads one stream.",
    ),
}
"""A word after a complete select list, FROM or WHERE -> why it is refused."""

AGGREGATES = words(
    """any_value approx_distinct approx_median approx_percentile_cont approx_percentile_cont_with_weight array_agg avg
    bit_and bit_or bit_xor bool_and bool_or corr count covar covar_pop covar_samp first_value grouping last_value max
    mean median min nth_value percentile_cont quantile_cont regr_avgx regr_avgy regr_count regr_intercept regr_r2
    regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var var_pop var_population
    var_samp var_sample"""
)
WINDOW_FUNCTIONS = words("cume_dist dense_rank lag lead ntile percent_rank rank row_number")
_NO_STREAM_FUNCTIONS = frozenset(("input_file_name", "file_row_index"))


def refuse_call(cursor: Cursor, name: Token) -> None:
    """Raise for a function that pipelines do not have."""
    if name.value in AGGREGATES:
        raise cursor.refuse(
            f"{name.value}() is an aggregate; pipelines have none (no GROUP BY, no windows).", name.start
        )
    if name.value in WINDOW_FUNCTIONS:
        raise cursor.refuse(f"{name.value}() is a window function; pipelines have none.", name.start)
    if name.value in _NO_STREAM_FUNCTIONS:
        raise cursor.refuse(f"{name.value}() needs a file; a pipeline reads a stream.", name.start)
