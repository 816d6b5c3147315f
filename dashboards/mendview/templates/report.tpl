<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{page.title}} – mendsearch report</title><style>{{!css}}</style><script>{{!theme}}</script></head>
<body><main id="main"><div id="away" class="away" hidden></div>
<div class="head"><h1>{{page.title}}</h1><span class="what">{{page.what}}</span><span class="when">mendsearch report, {{made}}</span></div>
{{!body}}
</main><script id="given" type="application/json">{{!given}}</script>
<script>{{!plotly}}</script><script>{{!script}}</script></body></html>
