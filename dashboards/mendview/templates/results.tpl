% if rows:
<p class="note">{{caption}}</p>
<div class="scroll" tabindex="0" role="region" aria-label="Networks"><table>
<thead><tr>
% for heading in headings:
<th{{!' class="left"' if heading == headings[0] else ""}}>{{heading}}</th>
% end
</tr></thead><tbody>
% for name, *cells in rows:
<tr{{!' class="strong"' if name.endswith("exported") else ""}}><td class="left">{{name}}</td>
% for cell in cells:
<td>{{cell or "–"}}</td>
% end
</tr>
% end
</tbody></table></div>
% else:
<p class="note">The dense network, the controls and the finalists of the search are compared here once they are fine-tuned.</p>
% end
