<section class="cards" aria-label="The fleet at a glance">
% for title, big, text in cards:
<div class="card"><h2>{{title}}</h2><div class="big">{{big}}</div><p>{{text}}</p></div>
% end
</section>
