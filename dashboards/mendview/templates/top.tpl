<div class="scroll" tabindex="0" role="region" aria-label="Best trials"><table><caption>Best trials</caption>
<thead><tr><th class="left">trial</th><th>score</th><th>MACs</th><th>parameters</th><th>scored in</th><th>ended</th></tr></thead><tbody>
% for trial in top:
<tr><td class="left"><a href="{{base}}trial/{{trial.number}}">{{trial.number}}</a></td><td>{{words.score(trial.score)}}</td>
<td>{{words.amount(trial.macs)}}</td><td>{{words.amount(trial.params)}}</td><td>{{words.span(trial.seconds)}}</td>
<td><time datetime="{{words.moment(trial.ended)}}">{{words.moment(trial.ended)}}</time></td></tr>
% end
% if not top:
<tr><td class="left" colspan="6">none yet</td></tr>
% end
</tbody></table></div>
