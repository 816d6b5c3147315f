% for reason in reasons:
<p class="note unreadable">A record of this search cannot be read, and the pages are shown without it: {{reason}}.</p>
% end
