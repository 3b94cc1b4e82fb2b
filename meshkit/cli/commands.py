"""The commands: a word, and where its function is. A function is imported only when its word is used."""

COMMANDS = {
    "control": "meshkit.cli.control:control",
    "demo": "meshkit.cli.demo:demo",
    "gen": "meshkit.cli.gen:gen",
    "run": "meshkit.cli.run:run",
}
