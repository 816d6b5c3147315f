<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Token – mendsearch</title><link rel="stylesheet" href="/mend/static/mend.css"><link rel="icon" href="/mend/static/icon.svg" type="image/svg+xml">
<script src="/mend/static/theme.js"></script></head><body><main>
<form class="login panel" method="post" action="/mend/login"><h1>mendsearch</h1>
<label>Token <input type="password" name="token" autocomplete="current-password" required autofocus></label>
<input type="hidden" name="next" value="{{next}}">
% if wrong:
<p class="error" role="alert">{{wrong}}</p>
% end
<button>Open</button><p class="note">The token was printed when the dashboard was started, or is set in MENDSEARCH_DASHBOARD_TOKEN there.</p></form></main></body></html>
