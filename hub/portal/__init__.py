"""The hub's face to people: the JSON API under ``/api``, server-sent events, and the files of the pages.

`app` lists every route with its policy in one table; `routes_session`, `routes_cases`,
`routes_reports` and `routes_admin` answer them, `events` tells what changed, `static` serves the
front end and the viewer, `body` reads what a browser sent, `views` shapes the answers.
"""
