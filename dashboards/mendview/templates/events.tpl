% if events:
<div class="scroll tall" tabindex="0" role="region" aria-label="Events"><table><caption>Latest events</caption>
<thead><tr><th class="left">at</th><th class="left">event</th><th class="left">worker</th><th class="left">detail</th></tr></thead><tbody>
% for event in events:
<tr><td class="left"><time class="exact" datetime="{{words.moment(event.at)}}">{{words.moment(event.at)}}</time></td><td class="left">{{event.kind}}</td>
<td class="left">{{"–" if event.ordinal is None else event.ordinal}}</td><td class="left wide">{{event.detail}}</td></tr>
% end
</tbody></table></div>
% else:
<p class="note">No events yet.</p>
% end
