<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{page.title}} – mendsearch</title>
<link rel="stylesheet" href="/mend/static/mend.css"><link rel="icon" href="/mend/static/icon.svg" type="image/svg+xml">
<script src="/mend/static/theme.js"></script>
% if page.figures:
<script defer src="/mend/static/plotly.min.js"></script>
% end
<script defer src="/mend/static/mend.js"></script></head>
<body><a class="skip" href="#main">Skip to content</a>
<header class="bar"><a class="brand" href="/mend/">mendsearch</a>
% if page.base:
<nav aria-label="Pages of this search">
% for key, title in (("search", "Search"), ("network", "Network"), ("front", "Pareto front"), ("fleet", "Fleet"), ("trial", "Trial")):
<a href="{{page.base}}{{"" if key == "search" else key}}"{{!' aria-current="page"' if key == page.kind else ""}}>{{title}}</a>
% end
</nav>
% end
<div class="tools"><a href="/mend/searches">All searches</a>
<a href="{{"/dashboard/studies/%d" % page.study_id if page.study_id else "/dashboard"}}">Optuna Dashboard</a>
% if page.base:
<a href="{{page.base}}report" download>Report</a>
% end
<button id="theme" type="button" title="Light or dark">Theme</button></div></header>
<main id="main"><div id="unreachable" class="unreachable" role="alert" hidden></div>
% if page.base:
<div class="head"><h1>{{page.title}}</h1><span class="what">{{page.what}}</span>
<span class="when">as of <time id="fresh"></time></span></div>
% end
{{!body}}
% if page.base:
% include("words.tpl")
% end
</main><script id="given" type="application/json">{{!given}}</script></body></html>
