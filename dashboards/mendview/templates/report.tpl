<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{page.title}} – mendsearch report</title><style>{{!css}}</style><script>{{!theme}}</script></head>
<body><main id="main"><div id="unreachable" class="unreachable" hidden></div>
<div class="head"><h1>{{page.title}}</h1><span class="what">{{page.what}}</span><span class="when">mendsearch report, {{made}}</span></div>
{{!body}}
% include("words.tpl")
</main><script id="given" type="application/json">{{!given}}</script>
<script type="text/plain" class="packed">{{!plotly}}</script><script type="text/plain" class="packed">{{!script}}</script>
<script>(async () => {
  for (const packed of document.querySelectorAll(".packed")) {
    const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(plain).text();
    document.body.append(script);
  }
})();</script></body></html>
