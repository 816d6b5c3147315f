% icons = {"good": "✓", "fair": "→", "bad": "!", "calm": "·"}
<div class="verdict {{seen.tone}}"><p><span class="icon" aria-hidden="true">{{icons[seen.tone]}}</span>{{seen.verdict}}</p>
% if seen.todo:
<p class="note">Next: <code>{{seen.todo}}</code></p>
% end
<div class="progress"><span class="pill {{seen.tone}}">{{seen.state}}</span>
% if seen.search.wanted:
% part = min(1, seen.pace.done / seen.search.wanted)
<span class="track"><svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect width="{{round(100 * part, 2)}}" height="1"/></svg></span>
% end
<span id="done">{{overview.progress(seen)}}</span></div></div>
