<div class="scroll" tabindex="0" role="region" aria-label="Outputs"><table><caption>Mean divergence from the dense network, by output</caption>
<thead><tr><th class="left">output</th><th class="left">of an item</th><th class="left">divergence</th><th>weight</th>
% for title, _ in columns:
<th>{{title}}</th>
% end
</tr></thead><tbody>
% for output in outputs:
<tr><td class="left">{{output.name}}</td><td class="left">{{" × ".join(map(str, output.shape)) or "one value"}}</td>
<td class="left" title="{{output.reason}}">{{output.divergence}}</td><td>{{"–" if output.divergence == "none" else f"{output.weight:g}"}}</td>
% for _, divergences in columns:
<td>{{words.score(divergences.get(output.name))}}</td>
% end
</tr>
% end
</tbody></table></div>
