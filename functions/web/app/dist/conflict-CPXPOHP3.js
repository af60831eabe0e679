import{a as t,b as e,c as r}from"/app/chunk-KJGVRNQS.js";import{Ia as m,a as o}from"/app/chunk-I5GU6DR7.js";var p=o(()=>{m();r()});p();export{t as askConflict,e as askConflicts};
