<section class="panel{{" whole" if whole else ""}}"><header><h2>{{title}}</h2>
% if axis:
<span class="choice"><button type="button" data-axis="trial" data-of="{{key}}" aria-pressed="true">by trial</button><button type="button" data-axis="time" data-of="{{key}}" aria-pressed="false">by time</button></span>
% end
</header>
% if note:
<p class="note">{{note}}</p>
% end
<div class="scroll" tabindex="0" role="region" aria-label="{{title}}"><div class="chart" id="{{key}}"><p class="none">Drawing…</p></div></div></section>
