"""How the columns of a table become the targets of a head, one file per kind of head.

A module here has the name of its kind. It offers `Rule` (a `mtmed.data.rules._base.Rule`), what `heads.<head>` may say
in a mapping, and `default(spec, columns)`: the rule for a head in a table with these columns where no mapping says
one, or None where the table does not speak of the head. What no rule covers is unknown, never negative.
"""
