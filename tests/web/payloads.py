"""What a hostile transcript may hold."""

EXECUTES = (
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "<svg onload=window.pwned=1><animate onbegin=window.pwned=1>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "[click](javascript:window.pwned=1) [b](JaVaScRiPt:window.pwned=1) <javascript:window.pwned=1>",
    "[d](data:text/html,<script>window.pwned=1</script>) [v](vbscript:x)",
    "![p](https://evil.example/p.png) ![q](javascript:window.pwned=1)",
    '[t](https://evil.example "onmouseover=window.pwned=1")',
    "[ref][r]\n\n[r]: javascript:window.pwned=1",
    '```"><script>window.pwned=1</script>\ncode\n```',
    "</div></article></main><script>window.pwned=1</script>",
    '" onfocus=window.pwned=1 autofocus x="',
    "{{ 7*7 }} {% raw %} ${7*7}",
    "<a href=# id=turns name=keys>clobbered</a> <form id=theme><input name=dataset></form>",
)
DISTURBS = (
    "\x1b[31mred\x1b]0;title\x07 \x08\x08 \x00 \x9b2J",
    "\u202eright to left\u202c \u2066isolated\u2069 \u200fmark",
    "zero\u200bwidth\u200c\u200d\u2060\ufeff joined",
    "Z\u0351\u036b\u0343a\u0337\u0317lgo" + "\u0351" * 400,
    "א" * 300,
    "w" * 5000,
)
BOMBS = (
    ">" * 20_000,
    "[" * 20_000,
    "*a " * 6_000,
    "![[" * 6_000,
    "`" * 20_000,
    "|a" * 100 + "\n" + "|-" * 100 + "\n" + ("|b" * 100 + "\n") * 60,
    "* " * 9_000,
    "[a]: u\n" * 2_000,
    "&" * 20_000,
    "# " * 9_000,
)
