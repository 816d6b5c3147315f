% if rows:
<div class="scroll tall" tabindex="0" role="region" aria-label="Layer by layer"><table><caption>Layer by layer{{", compared with trial %d" % best if best is not None else ""}}</caption>
<thead><tr><th class="left">layer</th><th class="left">coupling group</th><th>channels</th><th>of</th><th>best trial</th><th>MACs</th><th>of dense</th></tr></thead><tbody>
% for row in rows:
<tr><td class="left">{{row["layer"]}}</td><td class="left">{{row["group"]}}</td><td>{{row["kept"]}}</td><td>{{row["width"]}}</td><td>{{row["best"]}}</td><td>{{words.amount(row["macs"])}}</td><td>{{words.percent(row["share"])}}</td></tr>
% end
</tbody></table></div>
% end
