% headings, rows, best = words_of.headings(ladder), words_of.rows(ladder), words_of.best_names(ladder)
<p class="note">{{words_of.said(ladder)}}</p>
% if rows:
<div class="scroll" tabindex="0" role="region" aria-label="Finalists"><table>
<thead><tr>
% for heading in headings:
<th{{!' class="left"' if heading in (headings[0], headings[-1]) else ""}}>{{heading}}</th>
% end
</tr></thead><tbody>
% for name, *cells, now in rows:
<tr{{!' class="strong"' if name == best else ""}}><td class="left">{{name}}</td>
% for cell in cells:
<td>{{cell or "–"}}</td>
% end
<td class="left">{{now or "–"}}</td></tr>
% end
</tbody></table></div>
% end
